# SPDX-License-Identifier: Apache-2.0
"""Why a residual ADD is not the end of a block: for the report, nothing is matched here."""

from __future__ import annotations

import dataclasses
from collections.abc import Container

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import same_order
from converter.fuse.patterns.attention import is_attention
from converter.fuse.patterns.linear import is_dense
from converter.fuse.patterns.mlp import match_branch, residual_operands
from converter.tflite import GraphView

_LAYERS = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL"})
_MAX_BRANCH = 96  # operators of a branch; post-norm attention with every head on its own has fewer


def _branch(view: GraphView, end: int, start: int) -> set[int] | None:
    """The operators from `start` to `end`; None if `end` does not depend on `start`."""
    found: set[int] = set()
    pending, met = [end], False
    while pending and len(found) <= _MAX_BRANCH:
        tensor = pending.pop()
        if tensor == start:
            met = True
            continue
        op = view.producer(tensor)
        if op is None or op in found:
            continue
        found.add(op)
        pending += [i for i in view.op(op).inputs if i >= 0 and not view.is_constant(i)]
    return found if met else None


@dataclasses.dataclass(frozen=True)
class ResidualConnection:
    """A residual connection: y = start + end, where `ops` compute `end` from `start`."""

    start: int
    end: int
    ops: frozenset[int]


def residual_at(view: GraphView, add: int) -> ResidualConnection | None:
    """The residual connection at an ADD, if one operand is computed from the other by layers."""
    try:
        a, b = residual_operands(view, add)
    except NoMatchError:
        return None
    for end, start in ((a, b), (b, a)):
        ops = _branch(view, end, same_order(view, start).base)
        if ops is not None and any(view.op(op).opcode in _LAYERS for op in ops):
            return ResidualConnection(start, end, frozenset(ops))
    return None


def explain_residual(
    view: GraphView, add: int, residual: ResidualConnection, taken: Container[int]
) -> str:
    """Why the branch of a residual ADD is no MLP or attention block that can be fused.

    Args:
      taken: operators that are fused.
    """
    ops = residual.ops
    softmax = [op for op in ops if view.op(op).opcode == "SOFTMAX" and is_attention(view, op)]
    if softmax:
        labels = ", ".join(view.label(op) for op in sorted(softmax))
        part = "of which only the core is" if all(op in taken for op in softmax) else "that is not"
        return f"its branch has attention {part} fused, {labels}"
    last = view.producer(same_order(view, residual.end).base)
    if last is not None and not is_dense(view, last):
        return f"its branch ends in {view.label(last)}, expected FULLY_CONNECTED"
    try:
        match_branch(view, add, residual.start, residual.end)
    except NoMatchError as error:
        return str(error)
    return "its parts belong to other operators"
