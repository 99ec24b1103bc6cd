# SPDX-License-Identifier: Apache-2.0
"""Float operators between DEQUANTIZE and QUANTIZE: a table where they are a function of one tensor.

Quantizers of PyTorch (PT2E, ai-edge-quantizer) leave such islands around operators that they do not
quantize. What is left of them after the rewriting rules and all other patterns is looked at here.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.patterns.pointwise import PointwiseMatch, match_activation
from converter.fuse.rewrite.building import is_int8
from converter.tflite import GraphView

_MAX_OPS = 64
_NAMED = 4  # operators that a reason names


@dataclasses.dataclass(frozen=True)
class FloatIsland:
    """Connected float operators.

    Attributes:
      starts: the DEQUANTIZE operators that hand it integers.
      ops: what computes in float, without casts.
      is_closed: whether everything that leaves it is a QUANTIZE, and nothing comes in float.
    """

    starts: frozenset[int]
    ops: tuple[int, ...]
    is_closed: bool


def float_island(view: GraphView, start: int) -> FloatIsland:
    """The island that a DEQUANTIZE belongs to."""
    starts, ops, is_closed = {start}, set[int](), True
    pending, seen = [view.op(start).outputs[0]], set[int]()
    while pending and len(ops) <= _MAX_OPS:
        tensor = pending.pop()
        if tensor in seen or view.is_constant(tensor) or view.tensor(tensor).dtype != np.float32:
            continue
        seen.add(tensor)
        producer = view.producer(tensor)
        is_closed &= producer is not None and tensor not in view.graph.outputs
        for op in (*view.consumers(tensor), *(() if producer is None else (producer,))):
            if view.op(op).opcode == "QUANTIZE":
                continue
            if view.op(op).opcode == "DEQUANTIZE":
                starts.add(op)
                continue
            ops.add(op)
            pending += [i for i in (*view.op(op).inputs, *view.op(op).outputs) if i >= 0]
    return FloatIsland(frozenset(starts), tuple(sorted(ops)), is_closed)


def starts_float_island(view: GraphView, op: int) -> bool:
    """Whether this is the first DEQUANTIZE of float operators between integers."""
    operator = view.op(op)
    if operator.opcode != "DEQUANTIZE" or not is_int8(view.tensor(operator.inputs[0])):
        return False
    island = float_island(view, op)
    return bool(island.ops) and island.is_closed and op == min(island.starts)


def match_float_island(view: GraphView, start: int) -> PointwiseMatch:
    """The function of one int8 tensor that an island computes.

    Raises:
      NoMatchError: it is none; names what computes in float.
    """
    try:
        return match_activation(view, start)
    except NoMatchError as error:
        ops = float_island(view, start).ops
        names = ", ".join(view.label(op) for op in ops[:_NAMED])
        more = f" and {len(ops) - _NAMED} more" if len(ops) > _NAMED else ""
        raise NoMatchError(
            f"computed in float between integers, which the compiled runtime does not have: "
            f"{names}{more}; quantize them too, as {error}"
        ) from error
