# SPDX-License-Identifier: Apache-2.0
"""ONE_HOT is a GATHER of rows: no runtime here has it. Numbers outside take a row without a one."""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.building import Builder
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Tensor

_INT32 = np.dtype(np.int32)
_LARGEST = 1 << 16  # bytes of the rows


def _indices(view: GraphView, tensor: int) -> int | None:
    """The numbers as int32, before a CAST to int64."""
    if view.tensor(tensor).dtype == _INT32:
        return tensor
    op = view.producer(tensor)
    if op is None or view.op(op).opcode != "CAST":
        return None
    return view.op(op).inputs[0] if view.tensor(view.op(op).inputs[0]).dtype == _INT32 else None


def _apply(view: GraphView, op: int) -> Edit | None:
    operator, y = view.op(op), view.op(op).outputs[0]
    depth, on, off = (view.tensor(i).data for i in operator.inputs[1:])
    x, result = _indices(view, operator.inputs[0]), view.tensor(y)
    last = operator.options.axis in (-1, len(result.shape) - 1)
    if x is None or depth is None or on is None or off is None or not last:
        return None
    count = int(depth.reshape(-1)[0])
    if result.shape != (*view.tensor(x).shape, count) or count * (count + 2) > _LARGEST:
        return None
    rows = np.full((count + 2, count), off.reshape(-1)[0], result.dtype)
    rows[np.arange(count) + 1, np.arange(count)] = on.reshape(-1)[0]
    b = Builder(view)

    def step(name: str, a: int, number: int, kind: str, **fields: int) -> int:
        made = b.tensor(Tensor(f"{result.name}/{name}", view.tensor(x).shape, _INT32))
        operand = b.constant(np.array(number, _INT32), f"one_hot_{number}")
        b.op(name, [a, operand], [made], kind, **fields)
        return made

    low = step("MAXIMUM", x, -1, "MaximumMinimumOptions")
    inside = step("MINIMUM", low, count, "MaximumMinimumOptions")
    row = step("ADD", inside, 1, "AddOptions", fusedActivationFunction=0)
    table = b.constant(rows, f"{result.name}/rows", result.quantization)
    b.op("GATHER", [table, row], [y], "GatherOptions", axis=0, batchDims=0)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "one_hot",
    "writes ONE_HOT over the last axis as a GATHER of rows",
    frozenset({"ONE_HOT"}),
    _apply,
)
