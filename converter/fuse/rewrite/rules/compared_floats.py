# SPDX-License-Identifier: Apache-2.0
"""A comparison of an int8 tensor's real values with a constant, on the integers.

Keras' Masking compares its input with 0.0, which the converter leaves in float behind a
DEQUANTIZE. Where the tensor's type holds the constant exactly, its integer compares the same, if
the kernels tell it from its neighbours: they compare in steps of 1/256, and finer ones get lost.
"""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Tensor
from tflm_custom_ops.builtins.params import quantize_multiplier
from tflm_custom_ops.builtins.rescale import rescale

_BITS = 8  # by which kernels shift integers before they scale them
_EVERY = np.arange(-128, 128)

_COMPARISONS = {
    "EQUAL": "EqualOptions",
    "NOT_EQUAL": "NotEqualOptions",
    "GREATER": "GreaterOptions",
    "GREATER_EQUAL": "GreaterEqualOptions",
    "LESS": "LessOptions",
    "LESS_EQUAL": "LessEqualOptions",
}


def _integer(x: Tensor, real: np.float32) -> int | None:
    """The one that stands for exactly that value."""
    reals = np.float32(x.scale) * (_EVERY - x.zero_point).astype(np.float32)
    found = _EVERY[reals == real]
    return int(found[0]) if len(found) == 1 else None


def _stands_alone(x: Tensor, value: int) -> bool:
    """Whether the kernels take no other integer for equal; they keep the order of the others."""
    factor = quantize_multiplier(x.scale)
    offsets = (_EVERY.astype(np.int64) - x.zero_point) << _BITS
    scaled = rescale(offsets, factor.multiplier, factor.shift)
    return list(scaled).count(scaled[value - _EVERY[0]]) == 1


def _apply(view: GraphView, op: int) -> Edit | None:
    old = view.op(op)
    producers = [view.producer(t) for t in old.inputs]
    sides = [p is not None and view.op(p).opcode == "DEQUANTIZE" for p in producers]
    if sides.count(True) != 1:
        return None
    side = sides.index(True)
    dequantize, constant = producers[side], view.tensor(old.inputs[1 - side])
    assert dequantize is not None
    source = view.op(dequantize).inputs[0]
    x = view.tensor(source)
    if not is_int8(x) or x.scale >= 1 or constant.data is None or constant.data.size != 1:
        return None
    value = _integer(x, np.float32(constant.data.reshape(-1)[0]))
    if value is None or not _stands_alone(x, value):
        return None
    b = Builder(view)
    data = np.full(constant.shape, value, np.int8)
    inputs = [source, b.constant(data, f"{x.name}/compared", x.quantization)]
    b.op(old.opcode, inputs[:: -1 if side else 1], list(old.outputs), _COMPARISONS[old.opcode])
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "compared_floats",
    "compares integers where a DEQUANTIZE is compared with a constant that their type holds",
    frozenset(_COMPARISONS),
    _apply,
)
