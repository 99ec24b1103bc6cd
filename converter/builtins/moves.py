# SPDX-License-Identifier: Apache-2.0
"""Operators that move values: each is a view of its operand or of its result.

A view is a NumPy array of the tensor's shape over no memory; indexing and transposing it as the
operator's definition says gives offset and strides of the copy.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from converter.builtins.common import BuiltinError, Tensors, constant, same_quantization
from converter.tflite import Operator, Tensor
from tflm_custom_ops.builtins import moves as m
from tflm_custom_ops.builtins import params as p

View = NDArray[Any]
_ORIGIN = np.zeros(1, np.uint8)


def _contiguous(shape: Sequence[int], element_bytes: int) -> tuple[int, ...]:
    sizes = [
        element_bytes * int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))
    ]
    return tuple(sizes)


def _of(shape: Sequence[int], strides: Sequence[int]) -> View:
    return as_strided(_ORIGIN, tuple(shape), tuple(strides), writeable=False)


def _view(tensor: Tensor) -> View:
    return _of(tensor.shape, _contiguous(tensor.shape, tensor.dtype.itemsize))


def _at(view: View) -> tuple[int, tuple[int, ...]]:
    """Offset and strides in bytes."""
    start, origin = (v.__array_interface__["data"][0] for v in (view, _ORIGIN))
    return start - origin, view.strides


def _move(tensor: Tensor, x: tuple[int, View], y: tuple[int, View]) -> tuple[m.Move, ...]:
    """The copy of view x of an operand into view y of a result, unless it is empty."""
    if x[1].size != y[1].size:
        raise BuiltinError(f"got {x[1].shape} values for {y[1].shape} of {tensor.name}")
    if x[1].size == 0:
        return ()
    try:
        copy = m.strided_copy(x[1].shape, _at(x[1]), _at(y[1]), tensor.dtype.itemsize)
    except ValueError as error:
        raise BuiltinError(str(error)) from error
    return (m.Move(x[0], y[0], copy),)


def _same_type(x: Tensor, y: Tensor) -> None:
    if x.dtype != y.dtype:
        raise BuiltinError(f"got {x.dtype} {x.name} and {y.dtype} {y.name}, expected one type")
    if x.quantization is not None or y.quantization is not None:
        same_quantization(x, y)


def _gathered(tensors: Tensors, op: Operator, views: Sequence[View], x: int = 0) -> m.Moves:
    """Each output is a view of operand ``x``, in order."""
    found: tuple[m.Move, ...] = ()
    outputs = [tensors[i] for i in op.outputs]
    for number, (y, view) in enumerate(zip(outputs, views, strict=True)):
        _same_type(tensors[op.inputs[x]], y)
        dense = _of(view.shape, _contiguous(view.shape, y.dtype.itemsize))
        if view.size != y.size:
            raise BuiltinError(f"got shape {list(y.shape)} for {view.shape}: {y.name}")
        found += _move(y, (x, view), (number, dense))
    return m.Moves(found, tuple(y.nbytes for y in outputs))


def _joined(
    tensors: Tensors, op: Operator, parts: Sequence[View], fill: int | None = None
) -> m.Moves:
    """Each operand fills a view of the output, in order."""
    y = tensors[op.outputs[0]]
    found: tuple[m.Move, ...] = ()
    for number, part in enumerate(parts):
        x = tensors[op.inputs[number]]
        _same_type(x, y)
        dense = _of(part.shape, _contiguous(part.shape, y.dtype.itemsize))
        if part.size != x.size:
            raise BuiltinError(f"got shape {list(x.shape)} for {part.shape}: {x.name}")
        found += _move(x, (number, dense), (0, part))
    return m.Moves(found, (y.nbytes,), fill)


def _integers(tensors: Tensors, index: int, what: str) -> list[int]:
    return [int(v) for v in constant(tensors, index, what).reshape(-1)]


def reshape(tensors: Tensors, op: Operator) -> p.Reshape:
    """RESHAPE, SQUEEZE and EXPAND_DIMS."""
    return p.Reshape(tensors[op.outputs[0]].size)


def transpose(tensors: Tensors, op: Operator) -> m.Moves:
    """Static permutation."""
    axes = _integers(tensors, op.inputs[1], "permutation")
    return _gathered(tensors, op, [_view(tensors[op.inputs[0]]).transpose(axes)])


def slice_(tensors: Tensors, op: Operator) -> m.Moves:
    """Static bounds; a size of -1 reaches to the end."""
    x = tensors[op.inputs[0]]
    begins, sizes = (_integers(tensors, i, "bounds") for i in op.inputs[1:3])
    parts = []
    for begin, size, length in zip(begins, sizes, x.shape, strict=True):
        end = length if size == -1 else begin + size
        if not 0 <= begin <= end <= length:
            raise BuiltinError(f"got bounds {begin}..{end} of a dimension of {length}: {x.name}")
        parts.append(slice(begin, end))
    return _gathered(tensors, op, [_view(x)[tuple(parts)]])


def strided_slice(tensors: Tensors, op: Operator) -> m.Moves:
    """Static bounds, with the masks of the options; NumPy's indexing has the same meaning."""
    x, masks = tensors[op.inputs[0]], op.options
    bounds = [_integers(tensors, i, "bounds") for i in op.inputs[1:4]]
    if getattr(masks, "offset", False):
        raise BuiltinError("ends that count from the start are not supported")
    parts: list[Any] = []
    for axis, (begin, end, step) in enumerate(zip(*bounds, strict=True)):
        bit = 1 << axis
        if masks.ellipsisMask & bit:
            parts.append(Ellipsis)
        elif masks.newAxisMask & bit:
            parts.append(None)
        elif masks.shrinkAxisMask & bit:
            parts.append(0 if masks.beginMask & bit else begin)
        else:
            first = None if masks.beginMask & bit else begin
            parts.append(slice(first, None if masks.endMask & bit else end, step))
    if Ellipsis not in parts:
        parts.append(Ellipsis)  # one element by places alone is a view, too, not a copy of it
    try:
        view = _view(x)[tuple(parts)]
    except (IndexError, ValueError) as error:
        raise BuiltinError(f"bounds of {x.name}: {error}") from error
    return _gathered(tensors, op, [view])


def _cut(tensors: Tensors, op: Operator, operand: int, axis: int, sizes: list[int]) -> m.Moves:
    x = tensors[op.inputs[operand]]
    ends = np.cumsum([0, *sizes])
    if ends[-1] != x.shape[axis]:
        raise BuiltinError(f"got parts of {sizes}, expected a sum of {x.shape[axis]}: {x.name}")
    front = np.moveaxis(_view(x), axis, 0)
    views = [np.moveaxis(front[a:b], 0, axis) for a, b in itertools.pairwise(ends)]
    return _gathered(tensors, op, views, operand)


def split(tensors: Tensors, op: Operator) -> m.Moves:
    """SPLIT into equal parts."""
    x = tensors[op.inputs[1]]
    axis = _integers(tensors, op.inputs[0], "axis")[0] % len(x.shape)
    sizes = [x.shape[axis] // len(op.outputs)] * len(op.outputs)
    return _cut(tensors, op, 1, axis, sizes)


def split_v(tensors: Tensors, op: Operator) -> m.Moves:
    """SPLIT_V into given parts; one size may be -1, the rest."""
    x = tensors[op.inputs[0]]
    sizes = _integers(tensors, op.inputs[1], "sizes")
    axis = _integers(tensors, op.inputs[2], "axis")[0] % len(x.shape)
    rest = x.shape[axis] - sum(s for s in sizes if s >= 0)
    return _cut(tensors, op, 0, axis, [rest if s < 0 else s for s in sizes])


def unpack(tensors: Tensors, op: Operator) -> m.Moves:
    """UNPACK: each output without the axis."""
    x = tensors[op.inputs[0]]
    front = np.moveaxis(_view(x), op.options.axis, 0)
    return _gathered(tensors, op, [front[i, ...] for i in range(len(op.outputs))])


def pack(tensors: Tensors, op: Operator) -> m.Moves:
    """PACK along a new axis."""
    front = np.moveaxis(_view(tensors[op.outputs[0]]), op.options.axis, 0)
    return _joined(tensors, op, [front[i, ...] for i in range(len(op.inputs))])


def concatenation(tensors: Tensors, op: Operator) -> m.Moves:
    """Inputs and output of one scale (TFLite's int8 kernels do not rescale)."""
    if op.options.fusedActivationFunction:
        raise BuiltinError("a fused activation is not supported")
    y = tensors[op.outputs[0]]
    axis = op.options.axis % len(y.shape)
    front, parts, start = np.moveaxis(_view(y), axis, 0), [], 0
    for index in op.inputs:
        end = start + tensors[index].shape[axis]
        parts.append(np.moveaxis(front[start:end], 0, axis))
        start = end
    if start != y.shape[axis]:
        raise BuiltinError(f"got {start} values along axis {axis} for {list(y.shape)}")
    return _joined(tensors, op, parts)


def pad(tensors: Tensors, op: Operator) -> m.Moves:
    """PAD with the zero point, PADV2 with a value."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    value = y.zero_point if y.quantization is not None else 0
    if len(op.inputs) == 3 and op.inputs[2] >= 0:
        value = _integers(tensors, op.inputs[2], "padding value")[0]
    if y.dtype.itemsize != 1 and value:
        raise BuiltinError(f"got {value} around {y.dtype}, expected 0 or a type of one byte")
    paddings = constant(tensors, op.inputs[1], "paddings").reshape(-1, 2)
    inside = tuple(slice(int(a), int(a) + n) for (a, _), n in zip(paddings, x.shape, strict=True))
    return _joined(tensors, op, [_view(y)[inside]], value)


def tile(tensors: Tensors, op: Operator) -> m.Moves:
    """TILE: each dimension repeated as a whole."""
    x = tensors[op.inputs[0]]
    multiples = _integers(tensors, op.inputs[1], "multiples")
    shape = [n for pair in zip(multiples, x.shape, strict=True) for n in pair]
    strides = [n for stride in _view(x).strides for n in (0, stride)]
    return _gathered(tensors, op, [_of(shape, strides)])


def broadcast_to(tensors: Tensors, op: Operator) -> m.Moves:
    """BROADCAST_TO a static shape."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    try:
        view = np.broadcast_to(_view(x), y.shape)
    except ValueError as error:
        raise BuiltinError(str(error)) from error
    return _gathered(tensors, op, [view])


def space_to_depth(tensors: Tensors, op: Operator) -> m.Moves:
    """SPACE_TO_DEPTH: blocks of pixels become channels."""
    x, b = tensors[op.inputs[0]], op.options.blockSize
    n, h, w, c = x.shape
    e = x.dtype.itemsize
    rows = _of(
        (n, h // b, w // b, b, b * c), (h * w * c * e, b * w * c * e, b * c * e, w * c * e, e)
    )
    return _gathered(tensors, op, [rows])


def depth_to_space(tensors: Tensors, op: Operator) -> m.Moves:
    """DEPTH_TO_SPACE: channels become blocks of pixels."""
    x, b = tensors[op.inputs[0]], op.options.blockSize
    n, h, w, c = x.shape
    e = x.dtype.itemsize
    shape = (n, h, b, w, c // b)
    return _gathered(tensors, op, [_of(shape, (h * w * c * e, w * c * e, c // b * e, c * e, e))])
