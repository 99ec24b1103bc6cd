# SPDX-License-Identifier: Apache-2.0
"""LayerNorm outside a block, with the pooling behind it: anchored at a square root."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import trace_back
from converter.fuse.patterns.layer_norm import NormMatch, match_norm
from converter.fuse.patterns.linear import require_int8
from converter.fuse.region import check_closed, frontier
from converter.fuse.semantics import POINTWISE, REDUCTIONS, RESHAPES, VIEWS, fused_activation
from converter.tflite import GraphView
from tflm_custom_ops.options import Pool

ANCHORS = frozenset({"RSQRT", "SQRT", "POW"})
_INSIDE = frozenset({*POINTWISE, *REDUCTIONS, *RESHAPES})
_MAX_STEPS = 24


@dataclasses.dataclass(frozen=True, eq=False)
class LayerNormMatch:
    """LayerNorm with optional pooling; `y` is its result or the pooled one."""

    x: int
    y: int
    tokens: int
    embed_dim: int
    norm: NormMatch
    pool: Pool
    ops: tuple[int, ...]


def match_layer_norm(view: GraphView, anchor: int) -> LayerNormMatch:
    """The LayerNorm around a square root.

    Raises:
      NoMatchError: with the reason.
    """
    norm = _find(view, anchor)
    require_int8(view, norm.x, "LayerNorm input")
    require_int8(view, norm.y, "LayerNorm output")
    check_closed(view, norm.ops, {norm.y})
    width = view.tensor(norm.x).shape[-1]
    tokens = view.tensor(norm.x).size // width
    pool, y, extra = _match_pool(view, norm.y, tokens, width)
    ops = tuple(sorted({*norm.ops, *extra}))
    return LayerNormMatch(norm.x, y, tokens, width, norm, pool, ops)


def _find(view: GraphView, anchor: int) -> NormMatch:
    """The longest LayerNorm through the anchor: gamma and beta behind it are taken along."""
    best: NormMatch | None = None
    reason = "its operands are not a mean and a variance of one tensor"
    for x in _sources(view, anchor):
        for y in _sinks(view, anchor, view.tensor(x).size):
            try:
                found = match_norm(view, x, y)
                check_closed(view, found.ops, {y})
            except NoMatchError as error:
                reason = str(error)
                continue
            if best is None or len(found.ops) > len(best.ops):
                best = found
    if best is None:
        raise NoMatchError(f"{view.label(anchor)} is not part of a LayerNorm: {reason}")
    return best


def _sources(view: GraphView, anchor: int) -> list[int]:
    """Candidates for x: what the statistics' MEANs read, and where the walk back ends."""
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
            candidates += inputs
        pending += inputs
    # The walk back does not stop at a residual ADD, so its ends alone are not enough.
    return list(dict.fromkeys([*candidates, *ends]))


def _sinks(view: GraphView, anchor: int, size: int) -> list[int]:
    """Candidates for y: tensors behind the anchor of x's size."""
    found: list[int] = []
    pending, seen = [view.op(anchor).outputs[0]], set[int]()
    while pending and len(seen) < _MAX_STEPS:
        tensor = pending.pop(0)
        if tensor in seen:
            continue
        seen.add(tensor)
        if view.tensor(tensor).size == size:
            found.append(tensor)
        for op in view.consumers(tensor):
            if view.op(op).opcode in _INSIDE - RESHAPES - frozenset(REDUCTIONS):
                pending += view.op(op).outputs
    return found


def _match_pool(
    view: GraphView, y: int, tokens: int, width: int
) -> tuple[Pool, int, tuple[int, ...]]:
    """(pool, result, operators) of what follows the LayerNorm; no pool if it does not fit."""
    none = (Pool.NONE, y, ())
    readers = view.consumers(y)
    if len(readers) != 1 or y in view.graph.outputs or tokens < 2:
        return none
    op = readers[0]
    operator = view.op(op)
    if len(operator.outputs) != 1 or fused_activation(operator) != "NONE":
        return none
    result = operator.outputs[0]
    if view.tensor(result).size != width or view.tensor(result).dtype != np.int8:
        return none
    axes_data = view.tensor(operator.inputs[1]).data if operator.opcode == "MEAN" else None
    if axes_data is not None:
        rank = len(view.tensor(y).shape)
        axes = {int(a) % rank for a in axes_data.reshape(-1)}
        if rank - 1 not in axes:
            return Pool.MEAN, result, (op,)
    if operator.opcode in VIEWS:
        trace = trace_back(view, result, stop=y)
        if trace.base == y and np.array_equal(trace.index.reshape(-1), np.arange(width)):
            return Pool.FIRST, result, trace.ops
    return none
