# SPDX-License-Identifier: Apache-2.0
"""LayerNorm outside a block, with the pooling behind it: anchored at a square root or a norm."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import element_index, is_requantize, trace_back
from converter.fuse.op_semantics import (
    BROADCASTS,
    NORMALIZATIONS,
    POINTWISE,
    REDUCTIONS,
    RESHAPES,
    VIEWS,
)
from converter.fuse.patterns.linear import require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.patterns.norm import NAMES, NormMatch, match_norm
from converter.fuse.region import check_closed, frontier
from converter.fuse.rewrite.building import same_type
from converter.tflite import GraphView
from tflm_custom_ops.ops import Pool
from tflm_custom_ops.ops.parts import NormKind

ANCHORS = frozenset({"RSQRT", "SQRT", "POW", *NORMALIZATIONS})
_INSIDE = frozenset({*POINTWISE, *REDUCTIONS, *RESHAPES, *BROADCASTS, "TRANSPOSE"})
_MAX_STEPS = 24
_MAX_POOL_CHAIN = 4
POOL_FACTOR_LIMIT = 0.499  # of s_y / (s_m * tokens), which is stored without a shift


@dataclasses.dataclass(frozen=True, eq=False)
class LayerNormMatch(OneInput):
    """LayerNorm with optional pooling; `y` is its result or the pooled one."""

    READS_STREAM: ClassVar[bool] = True
    WRITES_STREAM: ClassVar[bool] = False

    x: int
    y: int
    tokens: int
    embed_dim: int
    norm: NormMatch
    pool: Pool
    ops: tuple[int, ...]

    @property
    def averaged(self) -> int | None:
        """As a match says it."""
        return self.norm.y if self.pool is Pool.MEAN else None

    @property
    def kept(self) -> tuple[int, ...]:
        """Tensors inside that the fused operator has in the same type: what is pooled."""
        return (self.norm.y,)


def match_layer_norm(view: GraphView, anchor: int) -> LayerNormMatch:
    """The LayerNorm around a square root.

    Raises:
      NoMatchError: with the reason.
    """
    norm = find_norm(view, anchor)
    require_int8(view, norm.x, "LayerNorm input")
    require_int8(view, norm.y, "LayerNorm output")
    check_closed(view, norm.ops, {norm.y})
    width = view.tensor(norm.x).shape[-1]
    tokens = view.tensor(norm.x).size // width
    if tokens == 1:
        return _of_first_token(view, norm, width)
    pool, y, extra = _match_pool(view, norm.y, tokens, width)
    ops = tuple(sorted({*norm.ops, *extra}))
    return LayerNormMatch(norm.x, y, tokens, width, norm, pool, ops)


def find_norm(view: GraphView, anchor: int, kind: NormKind = NormKind.LAYER) -> NormMatch:
    """The longest norm through the anchor: gamma and beta behind it are taken along."""
    best: NormMatch | None = None
    reason = "its operands are not a mean and a variance of one tensor"
    for x, y in norm_candidates(view, anchor):
        try:
            found = match_norm(view, x, y, kind)
            check_closed(view, found.ops, {y})
        except NoMatchError as error:
            reason = str(error)
            continue
        if best is None or _computing(view, found) > _computing(view, best):
            best = found
    if best is None:
        raise NoMatchError(f"{view.label(anchor)} is not part of a {NAMES[kind]}: {reason}")
    return best


def norm_candidates(view: GraphView, anchor: int) -> Iterator[tuple[int, int]]:
    """(x, y) of the norms that an operator might be part of."""
    for x in _sources(view, anchor):
        for y in _sinks(view, anchor, view.tensor(x).size):
            yield x, y


def _computing(view: GraphView, norm: NormMatch) -> int:
    """Number of operators that compute; a RESHAPE behind the LayerNorm is not part of it."""
    return sum(view.op(op).opcode not in RESHAPES for op in norm.ops)


def _sources(view: GraphView, anchor: int) -> list[int]:
    """Candidates for x: what the statistics' MEANs read, and where the walk back ends."""
    if view.op(anchor).opcode in NORMALIZATIONS:
        return [view.op(anchor).inputs[0]]
    candidates: list[int] = []
    ends = frontier(view, view.op(anchor).inputs[0], _INSIDE)
    pending, seen = [view.op(anchor).inputs[0]], set[int]()
    while pending and len(seen) < _MAX_STEPS:
        tensor = pending.pop(0)
        op = view.producer(tensor)
        if tensor in seen or op is None or view.op(op).opcode not in _INSIDE:
            continue
        seen.add(tensor)
        inputs = [i for i in view.op(op).inputs if i >= 0 and not view.is_constant(i)]
        if view.op(op).opcode in REDUCTIONS:
            candidates += [t for i in inputs for t in (i, _behind_casts(view, i)[0])]
            candidates += [base for i in inputs for base in _squared(view, i)]
            candidates += [base for i in inputs for base in _turned(view, i)]
        pending += inputs
    # The walk back does not stop at a residual ADD, so its ends alone are not enough.
    return list(dict.fromkeys([*candidates, *ends]))


def _squared(view: GraphView, tensor: int) -> list[int]:
    """The tensors that this one is the square of: in float too, between DEQUANTIZE and QUANTIZE."""
    op = _behind_casts(view, tensor)[1]
    if op is None or view.op(op).opcode not in ("MUL", "SQUARE"):
        return []
    bases = set(view.op(op).inputs)
    return [bases.pop(), *_behind_casts(view, view.op(op).inputs[0])[:1]] if len(bases) == 1 else []


def _turned(view: GraphView, tensor: int) -> list[int]:
    """What a TRANSPOSE turned into this tensor, with the reshapes before it (tf_keras)."""
    found: list[int] = []
    tensor, op = _behind_casts(view, tensor)
    if op is None or view.op(op).opcode != "TRANSPOSE":
        return found
    while op is not None and view.op(op).opcode in ("TRANSPOSE", *RESHAPES):
        tensor, op = _behind_casts(view, view.op(op).inputs[0])
        found.append(tensor)
    return found


def _behind_casts(view: GraphView, tensor: int) -> tuple[int, int | None]:
    """(tensor, its producer) before QUANTIZE and DEQUANTIZE."""
    op = view.producer(tensor)
    while op is not None and view.op(op).opcode in ("QUANTIZE", "DEQUANTIZE"):
        tensor = view.op(op).inputs[0]
        op = view.producer(tensor)
    return tensor, op


def _sinks(view: GraphView, anchor: int, size: int) -> list[int]:
    """Candidates for y: tensors behind the anchor of x's size."""
    found: list[int] = []
    pending, seen = [view.op(anchor).outputs[0]], set[int]()
    while pending and len(seen) < _MAX_STEPS:
        tensor = pending.pop(0)
        if tensor in seen:
            continue
        seen.add(tensor)
        if view.tensor(tensor).size == size and not _is_dequantized(view, tensor):
            found.append(tensor)
        for op in view.consumers(tensor):
            if view.op(op).opcode in _INSIDE - frozenset(REDUCTIONS) and not _is_border(view, op):
                pending += view.op(op).outputs
    return found


def _is_border(view: GraphView, op: int) -> bool:
    """Whether a stream that becomes int16 begins behind it (`islands/borders.py`)."""
    ends = [view.tensor(t) for t in (view.op(op).inputs[0], view.op(op).outputs[0])]
    return is_requantize(view, op) and same_type(*ends)


def _is_dequantized(view: GraphView, tensor: int) -> bool:
    """Whether it holds integers as float numbers, for others: they are the result."""
    op = view.producer(tensor)
    return op is not None and view.op(op).opcode == "DEQUANTIZE"


def _of_first_token(view: GraphView, norm: NormMatch, width: int) -> LayerNormMatch:
    """A LayerNorm of one token; if that is the first of many, they are the operator's input."""
    alone = LayerNormMatch(norm.x, norm.y, 1, width, norm, Pool.NONE, norm.ops)
    trace = trace_back(view, norm.x)
    source = view.tensor(trace.base)
    first = np.array_equal(trace.index.reshape(-1), np.arange(width))
    if not trace.ops or not first or source.shape[-1] != width or source.size == width:
        return alone
    ops = tuple(sorted({*norm.ops, *trace.ops}))
    try:
        check_closed(view, ops, {norm.y})
    except NoMatchError:
        return alone
    tokens = source.size // width
    return LayerNormMatch(trace.base, norm.y, tokens, width, norm, Pool.FIRST, ops)


def _match_pool(
    view: GraphView, y: int, tokens: int, width: int
) -> tuple[Pool, int, tuple[int, ...]]:
    """(pool, result, operators) of what follows the LayerNorm; no pool if it does not fit."""
    chain = _single_readers(view, y) if tokens > 1 else []
    if chain and _is_mean_of_tokens(view, y, chain[0], tokens, width):
        return Pool.MEAN, view.op(chain[0]).outputs[0], (chain[0],)
    for length in range(len(chain), 0, -1):
        result = view.op(chain[length - 1]).outputs[0]
        if any(view.op(op).opcode not in VIEWS for op in chain[:length]):
            continue
        index = element_index(view, y, result, chain[:length]).reshape(-1)
        if np.array_equal(index, np.arange(width)):
            return Pool.FIRST, result, tuple(chain[:length])
    return Pool.NONE, y, ()


def _single_readers(view: GraphView, tensor: int) -> list[int]:
    """The operators behind a tensor, each the only reader of the one before."""
    chain: list[int] = []
    while len(chain) < _MAX_POOL_CHAIN and tensor not in view.graph.outputs:
        readers = view.consumers(tensor)
        if len(readers) != 1 or len(view.op(readers[0]).outputs) != 1:
            break
        chain.append(readers[0])
        tensor = view.op(readers[0]).outputs[0]
    return chain


def _is_mean_of_tokens(view: GraphView, y: int, op: int, tokens: int, width: int) -> bool:
    operator = view.op(op)
    if operator.opcode != "MEAN" or view.tensor(operator.inputs[1]).data is None:
        return False
    source, result = view.tensor(y), view.tensor(operator.outputs[0])
    axes = {int(a) % len(source.shape) for a in view.tensor(operator.inputs[1]).real().flat}
    if len(source.shape) - 1 in axes or result.size != width or result.dtype != np.int8:
        return False
    # Few tokens and a narrow result: the multiplier would not fit (docs/operators.md).
    return source.scale < POOL_FACTOR_LIMIT * result.scale * tokens
