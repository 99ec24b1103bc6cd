# SPDX-License-Identifier: Apache-2.0
"""Attention block: x + out(softmax(scale.q.k^T).v) of LayerNorm(x), anchored at the SOFTMAX.

Heads may be split, sliced, reshaped and transposed in any way, q and k may stand on either side of
the matrix product, the scale may be applied to q, k or the scores. The layout is read from element
numbers: q must hand token t's row to row t, and any order of features is undone in the weights.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import element_index, follow, trace_back
from converter.fuse.op_semantics import JOINS, POINTWISE, VIEWS
from converter.fuse.patterns.attention_layers import (
    ContextTensor,
    Output,
    match_heads,
    match_output,
)
from converter.fuse.patterns.core_rows import multiplied_at
from converter.fuse.patterns.linear import ProjectionMatch, require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.patterns.mlp import match_block_norm
from converter.fuse.patterns.norm import NormMatch
from converter.fuse.patterns.products import Operand, operands
from converter.fuse.patterns.relative import (
    RelativePart,
    RelativeVectors,
    products_of,
    relative_keys,
    relative_values,
    sum_of_products,
)
from converter.fuse.patterns.relative_tables import RelativeTables, relative_tables
from converter.fuse.patterns.scores import CASTS, score_limits, trace_scores
from converter.fuse.patterns.windows import WindowGrid, match_tokens
from converter.fuse.region import check_closed
from converter.tflite import GraphView

_MASKS = frozenset({"ADD", "SUB", "SELECT", "SELECT_V2"})  # on the scores, where MUL is the scale
SCORE_STEPS = frozenset({*VIEWS, *JOINS, *POINTWISE, *_MASKS})  # between q.k^T and the softmax
_MAX_SCORE_STEPS = 32


@dataclasses.dataclass(frozen=True, eq=False)
class AttentionMatch(OneInput):
    """An attention block.

    Attributes:
      x, y: int8 tensors [tokens, embed_dim] (leading ones allowed).
      scale: factor of q.k^T before the softmax.
      v_factor: factor of v.
      grid: of tokens whose windows see each other; None: all see all.
      terms: constants on the scores.
      relative: relative keys and values.
      shared_down: q, k and v are three parts of one low-rank pair's second layer.
      key_heads: heads of keys and values; each serves heads // key_heads neighbours.
      q, k, v: output feature h * head_dim + d (of v value_dim) is feature d of head h.
      out: its input features are ordered likewise.
      ops: every operator that the block replaces.
    """

    READS_STREAM: ClassVar[bool] = True
    WRITES_STREAM: ClassVar[bool] = True

    x: int
    y: int
    tokens: int
    embed_dim: int
    heads: int
    key_heads: int
    head_dim: int
    value_dim: int
    scale: float
    v_factor: float
    grid: WindowGrid | None
    terms: Terms | None
    relative: RelativeTables | None
    shared_down: bool
    norm: NormMatch
    q: ProjectionMatch
    k: ProjectionMatch
    v: ProjectionMatch
    out: ProjectionMatch
    ops: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """Tensors inside that the fused operator has in the same type; scores and the result of
        the output projection are none."""
        inputs = [t for p in (self.q, self.k, self.v, self.out) for t in p.tensors]
        return (self.norm.y, *inputs, *(p.last.output for p in (self.q, self.k, self.v)))


def is_attention(view: GraphView, softmax: int) -> bool:
    """Whether a SOFTMAX's input is a product of activations (scaled, masked, rearranged).

    A classifier's softmax, or the weights of a pooling, come from a linear layer.
    """
    pending, seen = [view.op(softmax).inputs[0]], set[int]()
    while pending and len(seen) < _MAX_SCORE_STEPS:
        tensor = pending.pop()
        op = view.producer(tensor)
        if tensor in seen or op is None:
            continue
        seen.add(tensor)
        if view.op(op).opcode == "BATCH_MATMUL":
            return True
        if view.op(op).opcode in SCORE_STEPS:
            pending += [i for i in view.op(op).inputs if i >= 0 and not view.is_constant(i)]
    return False


def match_attention(view: GraphView, softmax: int) -> AttentionMatch:
    """The attention block around a SOFTMAX.

    Raises:
      NoMatchError: with the reason.
    """
    parts = match_parts(view, softmax)
    output = parts.output
    norm = match_block_norm(view, output.operand, parts.h)
    y = view.op(output.add).outputs[0]
    embed_dim = parts.q.first.weights.shape[1]
    for tensor, what in ((norm.x, "input"), (norm.y, "LayerNorm output"), (y, "output")):
        require_int8(view, tensor, f"the block's {what}")
    if parts.out.last.weights.shape[0] != embed_dim:
        raise NoMatchError("the block's input and output widths differ")
    ops = tuple(sorted({*parts.ops, *output.ops, *norm.ops}))
    check_closed(view, ops, {y})
    return AttentionMatch(
        x=norm.x,
        y=y,
        tokens=parts.tokens,
        embed_dim=embed_dim,
        heads=parts.heads,
        key_heads=parts.key_heads,
        head_dim=parts.head_dim,
        value_dim=parts.value_dim,
        scale=parts.scale,
        v_factor=parts.v_factor,
        grid=parts.grid,
        terms=parts.terms,
        relative=parts.relative,
        shared_down=parts.shared_down,
        norm=norm,
        q=parts.q,
        k=parts.k,
        v=parts.v,
        out=parts.out,
        ops=ops,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Terms:
    """Constants on the scores.

    Attributes:
      bias: real, [windows, heads, tokens, tokens] of a window's tokens.
      replaced: likewise; the constant stands in the place of the score.
      limits: least and greatest score without them, real; None where no range is known.
    """

    bias: NDArray[np.float64]
    replaced: NDArray[np.bool_]
    limits: tuple[float, float] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """Attention of one tensor's tokens, from there to the output projection.

    Attributes:
      h: what q, k and v are projected from.
      ops: without those of the output projection.
    """

    h: int
    tokens: int
    heads: int
    key_heads: int
    head_dim: int
    value_dim: int
    scale: float
    v_factor: float
    grid: WindowGrid | None
    terms: Terms | None
    relative: RelativeTables | None
    q: ProjectionMatch
    k: ProjectionMatch
    v: ProjectionMatch
    out: ProjectionMatch
    output: Output
    ops: tuple[int, ...]

    @property
    def shared_down(self) -> bool:
        """Whether q, k and v are three parts of one low-rank pair's second layer."""
        first = {p.first.op for p in (self.q, self.k, self.v)}
        return len(first) == 1 and len(self.q.layers) == 2


def match_parts(view: GraphView, softmax: int) -> Parts:
    """What a block has besides its norm.

    Raises:
      NoMatchError: with the reason.
    """
    scores = _match_scores(view, softmax)
    context = _match_context(view, softmax, scores)
    output = match_output(view, context)
    layers = [
        match_heads(view, operand, name)
        for operand, name in ((scores.query, "q"), (scores.key, "k"), (context.value, "v"))
    ]
    seen = match_tokens(view, layers, output)
    if seen.grid is not None and (scores.relative or context.relative):
        raise NoMatchError("relative keys and values in windows of a grid")
    k_places, v_places = (seen.columns(x.places.columns, x.name) for x in layers[1:])
    seen, key_heads = seen.with_shared_together(k_places, v_places)
    terms = scores.terms
    if terms is not None:
        bias, replaced = seen.of_pairs(terms.bias), seen.of_pairs(terms.replaced)
        terms = Terms(bias, replaced, terms.limits)
    own = seen.heads // key_heads  # a head of keys stands at the first of so many heads
    q, k, v = (
        x.projection.rows(seen.columns(x.places.columns, x.name)[::step].reshape(-1))
        for x, step in zip(layers, (1, own, own), strict=True)
    )
    columns = seen.columns(output.places.columns, "attention result").reshape(-1)
    return Parts(
        h=seen.h,
        tokens=seen.tokens,
        heads=seen.heads,
        key_heads=key_heads,
        head_dim=scores.head_dim,
        value_dim=context.value.index.shape[2],
        scale=scores.factor * layers[0].factor * layers[1].factor,
        v_factor=layers[2].factor,
        grid=seen.grid,
        terms=terms,
        relative=_relative(scores, context, layers[1].factor, layers[2].factor),
        q=q,
        k=k,
        v=v,
        out=output.projection.columns(columns),
        output=output,
        ops=(*scores.ops, *context.ops, *(op for x in layers for op in x.ops), *seen.ops),
    )


def _relative(
    scores: _Scores, context: _Context, k_factor: float, v_factor: float
) -> RelativeTables | None:
    """Relative keys and values in the units of what k and v are projected to."""
    if scores.relative is None and context.relative is None:
        return None
    keys, values = scores.relative, context.relative
    return relative_tables(
        RelativeVectors(
            None if keys is None else keys.vectors / k_factor,
            None if values is None else values.vectors / v_factor,
            0.0 if keys is None else keys.step / abs(k_factor),
            0.0 if values is None else values.step / abs(v_factor),
        )
    )


# ---- q.k^T and softmax ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class _Scores:
    """`heads`: of all windows."""

    query: Operand
    key: Operand
    heads: int
    tokens: int
    head_dim: int
    factor: float
    terms: Terms | None
    relative: RelativePart | None
    ops: tuple[int, ...]


def _matmul_at(view: GraphView, tensor: int, what: str) -> int:
    op = view.producer(tensor)
    if op is None or view.op(op).opcode != "BATCH_MATMUL":
        got = "the graph's input" if op is None else view.label(op)
        raise NoMatchError(f"{what} comes from {got}, expected BATCH_MATMUL")
    return op


def _match_scores(view: GraphView, softmax: int) -> _Scores:
    source = view.op(softmax).inputs[0]
    trace = trace_back(view, source, scaling=True)
    index, factor, terms, between = trace.index, trace.factor, None, trace.ops
    last = view.producer(trace.base)
    sums = sum_of_products(view, source)
    if sums is not None:
        matmul, index, factor, between = (
            sums.main.product,
            sums.main.index,
            sums.main.factor,
            sums.ops,
        )
    elif last is not None and view.op(last).opcode in _MASKS | CASTS:
        scores = trace_scores(view, softmax)
        limits = score_limits(view, scores)
        if view.op(last).opcode in _MASKS or np.any(scores.bias) or np.any(scores.replaced):
            terms = Terms(scores.bias, scores.replaced, limits)
        matmul, index, between = scores.product, scores.index, scores.ops
        factor = scores.factor / float(view.op(softmax).options.beta)
    else:
        matmul = _matmul_at(view, trace.base, "softmax input")
    left, right = operands(view, matmul)
    heads, tokens, head_dim = left.index.shape
    if right.index.shape != (heads, tokens, head_dim):
        raise NoMatchError(
            f"q and k have shapes {left.index.shape} and {right.index.shape}, expected equal ones"
        )
    index = index.reshape(-1, *index.shape[-2:])
    straight = np.arange(heads * tokens * tokens).reshape(heads, tokens, tokens)
    if np.array_equal(index, straight):
        query, key = left, right
    elif np.array_equal(index, straight.swapaxes(1, 2)):
        query, key = right, left
    else:
        raise NoMatchError("the softmax does not run over the keys of one query and head")
    beta = float(view.op(softmax).options.beta)
    ops = (softmax, *between, matmul)
    relative = None
    if sums is not None:
        relative = relative_keys(view, sums, sums.relative.index.reshape(index.shape), query)
        ops += relative.ops
    return _Scores(query, key, heads, tokens, head_dim, factor * beta, terms, relative, ops)


# ---- probabilities.v -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class _Context(ContextTensor):
    """Of all groups, with the relative values."""

    relative: RelativePart | None


def _match_context(view: GraphView, softmax: int, scores: _Scores) -> _Context:
    probabilities = view.op(softmax).outputs[0]
    if len(view.consumers(probabilities)) > 1:
        return _match_relative_context(view, probabilities, scores)
    tensor, passed, matmul = multiplied_at(view, softmax)
    return _weighed(view, probabilities, scores, (tensor, matmul), passed)


def _match_relative_context(view: GraphView, probabilities: int, scores: _Scores) -> _Context:
    """p.v + p.r_v."""
    products, passed = products_of(view, probabilities)
    main = [
        (tensor, op)
        for tensor, op in products
        if not any(view.is_constant(i) for i in view.op(op).inputs)
    ]
    if len(products) != 2 or len(main) != 1:
        raise NoMatchError("softmax output is multiplied by more than v and relative values")
    found = _weighed(view, probabilities, scores, main[0], passed)
    _, _, add = follow(view, found.tensor, "the product with v")
    total = view.op(add).outputs[0]
    sums = sum_of_products(view, total)
    if sums is None or {sums.main.product, sums.relative.product} != {op for _, op in products}:
        raise NoMatchError("the products of the softmax output are not added")
    if sums.main.factor != 1.0:
        raise NoMatchError("the product with v is scaled before relative values are added")
    place = np.empty(sums.main.index.size, np.int64)
    place[sums.main.index.reshape(-1)] = np.arange(place.size)
    result = place[found.result]
    index = sums.relative.index.reshape(-1)[result]
    relative = relative_values(view, sums, index, probabilities)
    return _Context(found.value, total, result, (*found.ops, *sums.ops, *relative.ops), relative)


def _weighed(
    view: GraphView,
    probabilities: int,
    scores: _Scores,
    at: tuple[int, int],
    passed: tuple[int, ...],
) -> _Context:
    """The product (`at`: its operand and operator) of the softmax's output and v."""
    tensor, matmul = at
    index = element_index(view, probabilities, tensor, sorted(passed))
    straight = np.arange(index.size).reshape(scores.heads, scores.tokens, scores.tokens)
    left, right = operands(view, matmul)
    product = view.op(matmul).outputs[0]
    casts, product = _quantized(view, product)
    numbers = np.arange(view.tensor(product).size).reshape(
        scores.heads, left.index.shape[1], right.index.shape[1]
    )
    flat = index.reshape(-1)
    if tensor == left.tensor and np.array_equal(flat[left.index], straight):
        value, result = right, numbers
    elif tensor == right.tensor and np.array_equal(flat[right.index], straight):
        value, result = left, numbers.swapaxes(1, 2)
    else:
        raise NoMatchError("softmax output is not multiplied by v over the keys")
    return _Context(
        Operand(value.tensor, value.index.swapaxes(1, 2)),
        product,
        result,
        (*passed, matmul, *casts),
        None,
    )


def _quantized(view: GraphView, tensor: int) -> tuple[tuple[int, ...], int]:
    """(QUANTIZE, its result) of a float product that it alone reads; else the tensor itself."""
    readers = view.consumers(tensor)
    if view.tensor(tensor).dtype != np.float32 or len(readers) != 1:
        return (), tensor
    if view.op(readers[0]).opcode != "QUANTIZE":
        return (), tensor
    return readers, view.op(readers[0]).outputs[0]
