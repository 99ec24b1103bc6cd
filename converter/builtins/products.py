# SPDX-License-Identifier: Apache-2.0
"""Products of computed operands, and what stands between them in attention."""

from __future__ import annotations

import numpy as np

from converter.builtins.common import BuiltinError, Tensors, int8_tensor, product_factor
from converter.tflite import Operator
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins import products as q

_OUTPUT_BITS = {np.dtype(np.int8): 8, np.dtype(np.int16): 16}
_LARGEST_ROW = (1 << 12) - 1  # of a softmax: its sum has 12 integer bits


def _batches(
    a: tuple[int, ...], b: tuple[int, ...], sizes: tuple[int, int]
) -> tuple[q.Shape3, q.Shape3, q.Shape3]:
    """Shape and both strides of the leading dimensions, broadcast; ``sizes`` of one matrix."""
    rank = max(len(a), len(b), 3)
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    if rank > 3:
        raise BuiltinError(f"got {rank} leading dimensions, expected at most 3")
    shape, strides = [], []
    for m, n in zip(a, b, strict=True):
        if m != n and 1 not in (m, n):
            raise BuiltinError(f"got leading dimensions {list(a)} and {list(b)}")
        shape.append(max(m, n))
    for dims, size in zip((a, b), sizes, strict=True):
        found = []
        for axis in range(3):
            inner = size * int(np.prod(dims[axis + 1 :], dtype=np.int64))
            found.append(0 if dims[axis] == 1 else inner)
        strides.append((found[0], found[1], found[2]))
    return (shape[0], shape[1], shape[2]), strides[0], strides[1]


def batch_matmul(tensors: Tensors, op: Operator) -> q.BatchMatMul:
    """As TFLM's batch_matmul.cc."""
    a, b = (int8_tensor(tensors[i], "operand") for i in op.inputs)
    y = int8_tensor(tensors[op.outputs[0]], "output")
    if min(len(a.shape), len(b.shape)) < 2:
        raise BuiltinError(f"got shapes {list(a.shape)} and {list(b.shape)}, expected matrices")
    a_shape, b_shape = a.shape[-2:], b.shape[-2:]
    a_strides, b_strides = (a_shape[1], 1), (1, b_shape[1])  # rows and depth; columns and depth
    rows, depth = a_shape
    b_depth, columns = b_shape
    if op.options.adjX:
        (rows, depth), a_strides = (depth, rows), (1, a_shape[1])
    if op.options.adjY:
        (columns, b_depth), b_strides = (b_depth, columns), (b_shape[1], 1)
    if depth != b_depth or depth > q.LARGEST_DEPTH:
        raise BuiltinError(f"got {depth} and {b_depth} products a sum, expected equal numbers")
    batches = _batches(a.shape[:-2], b.shape[:-2], (rows * depth, columns * depth))
    if y.size != rows * columns * int(np.prod(batches[0])):
        raise BuiltinError(f"output: got {list(y.shape)}, expected {rows} x {columns} matrices")
    factor = p.quantize_multiplier(product_factor(a, b, y))
    return q.BatchMatMul(
        *batches,
        *(rows, columns, depth),
        *(*a_strides, *b_strides),
        *(a.zero_point, b.zero_point, y.zero_point, factor.multiplier, factor.shift),
        *(-128, 127, None),
    )


def softmax(tensors: Tensors, op: Operator) -> q.Softmax:
    """As TFLM's softmax_common.cc, int8 to int8 or int16."""
    x, y = int8_tensor(tensors[op.inputs[0]], "input"), tensors[op.outputs[0]]
    bits = _OUTPUT_BITS.get(y.dtype)
    if bits is None or y.quantization is None:
        raise BuiltinError(f"output {y.name}: got {y.dtype}, expected quantized int8 or int16")
    step = 2.0**-bits
    if (
        abs(y.scale - step) > (0.001 * step if bits == 16 else 0)
        or y.zero_point != -(1 << bits) // 2
    ):
        raise BuiltinError(
            f"output {y.name}: got scale {y.scale} and zero point {y.zero_point}, expected "
            f"1/{1 << bits} and {-(1 << bits) // 2}"
        )
    columns = x.shape[-1]
    if columns > _LARGEST_ROW:
        raise BuiltinError(f"got {columns} values a row, expected at most {_LARGEST_ROW}")
    try:
        table = q.exponentials(x.scale, op.options.beta)
    except ValueError as error:
        raise BuiltinError(str(error)) from error
    return q.Softmax(x.size // columns, columns, bits, len(table), table)
