# SPDX-License-Identifier: Apache-2.0
"""DEQUANTIZE goes behind what only moves elements, and becomes one QUANTIZE with a QUANTIZE.

Quantizers of PyTorch (PT2E, ai-edge-quantizer) leave operators that they do not quantize in float
between DEQUANTIZE and QUANTIZE. Those that move elements move integers as well as numbers.
"""

from __future__ import annotations

import dataclasses

from converter.fuse.op_semantics import BROADCASTS, VIEWS
from converter.fuse.rewrite.building import is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Operator, Tensor

# PAD pads with zero: in integers with the zero point.
MOVES = frozenset({*VIEWS, *BROADCASTS, "PAD"})


def moved_input(op: Operator) -> int:
    """Which of its inputs an operator of `MOVES` takes elements from."""
    return 1 if op.opcode == "SPLIT" else 0


def _is_move(view: GraphView, op: int, tensor: int) -> bool:
    """Whether the operator moves the elements of this tensor, to places that are constants."""
    operator = view.op(op)
    at = moved_input(operator)
    others = [t for i, t in enumerate(operator.inputs) if i != at and t >= 0]
    return (
        operator.opcode in MOVES
        and operator.inputs[at] == tensor
        and all(view.is_constant(t) for t in others)
    )


def _apply(view: GraphView, op: int) -> Edit | None:
    (source,), (real,) = view.op(op).inputs, view.op(op).outputs
    if not is_int8(view.tensor(source)) or view.is_constant(source):
        return None
    readers = view.consumers(real)
    if not readers and real not in view.graph.outputs:
        return Edit((op,), renamed={real: source})
    moves = [r for r in readers if _is_move(view, r, real)]
    casts = [r for r in readers if view.op(r).opcode == "QUANTIZE"]
    if not moves and not casts:
        return None
    tensors: list[Tensor] = []
    operators: list[Operator] = []
    for move in moves:
        operators += _moved(view, move, source, tensors)
    for cast in casts:
        operators.append(dataclasses.replace(view.op(cast), inputs=(source,)))
    gone = [*moves, *casts]
    if len(gone) == len(readers) and real not in view.graph.outputs:
        gone.append(op)
    return Edit(tuple(gone), tuple(operators), tuple(tensors))


def _moved(view: GraphView, move: int, source: int, tensors: list[Tensor]) -> list[Operator]:
    """The move of the integers `source` and a DEQUANTIZE of each result."""
    old = view.op(move)
    at = moved_input(old)
    results: list[int] = []
    for tensor in old.outputs:
        t = view.tensor(tensor)
        q = view.tensor(source)
        tensors.append(Tensor(f"{t.name}/int8", t.shape, q.dtype, q.quantization))
        results.append(len(view.graph.tensors) + len(tensors) - 1)
    inputs = (*old.inputs[:at], source, *old.inputs[at + 1 :])
    casts = [
        Operator("DEQUANTIZE", (integer,), (real,), version=2)
        for integer, real in zip(results, old.outputs, strict=True)
    ]
    return [dataclasses.replace(old, inputs=inputs, outputs=tuple(results)), *casts]


RULE = Rule(
    "dequantize_moves",
    "takes DEQUANTIZE behind RESHAPE, TRANSPOSE, SLICE, TILE, PAD ..., which then move integers; "
    "with a QUANTIZE behind it, one QUANTIZE",
    frozenset({"DEQUANTIZE"}),
    _apply,
    on_integers=True,
)
