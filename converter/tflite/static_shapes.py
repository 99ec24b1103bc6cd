# SPDX-License-Identifier: Apache-2.0
"""Files whose shapes are left open although the batch is 1, as `from_keras_model` makes them.

The converter states a shape and, beside it, a shape signature with -1 for what it does not know.
It then computes shapes at run time (SHAPE, GATHER, PACK ... RESHAPE). With the batch of 1 all of
that is known: integers that follow from shapes are folded into constants, and every tensor gets the
shape that follows. What cannot be followed is refused, never guessed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite.model import Graph, Operator, Tensor, TfliteError

Shape = tuple[int, ...]
Array = NDArray[Any]
STATIC_HINT = (
    "convert with a static batch of 1, e.g. "
    "model.export(path, input_signature=[keras.InputSpec(shape=(1, ...))])"
)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Output shape is the first input's.
_SAME = _names(
    "ABS CAST DEQUANTIZE ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC NEG QUANTIZE RELU"
    " RELU6 RELU_N1_TO_1 RSQRT SOFTMAX SQRT SQUARE TANH"
)
_BROADCAST = _names(
    "ADD DIV EQUAL GREATER LESS MAXIMUM MINIMUM MUL NOT_EQUAL POW SQUARED_DIFFERENCE SUB"
)
_REDUCE = _names("MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD")
# Their first dimension is the input's; the file knows the others.
_BATCH_FIRST = _names(
    "AVERAGE_POOL_2D CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE MAX_POOL_2D MIRROR_PAD PAD PADV2"
    " RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH"
)


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is known of an operator's inputs: shapes, and values of constants (None: computed)."""

    op: Operator
    shapes: tuple[Shape, ...]
    values: tuple[Array | None, ...]

    def value(self, position: int) -> Array:
        found = self.values[position] if position < len(self.values) else None
        if found is None:
            raise LookupError
        return found

    def all_values(self) -> list[Array]:
        return [self.value(i) for i in range(len(self.values))]

    def with_placeholders(self) -> _Known:
        """With zeros for computed data, to learn the shape of what moves it; not for numbers."""
        data = {"CONCATENATION": len(self.values), "PACK": len(self.values), "FILL": 0}.get(
            self.op.opcode, 1
        )
        values = tuple(
            np.broadcast_to(np.int8(0), shape) if value is None and i < data else value
            for i, (shape, value) in enumerate(zip(self.shapes, self.values, strict=True))
        )
        return dataclasses.replace(self, values=values)


def resolved(graph: Graph, signatures: Sequence[Shape]) -> Graph:
    """The graph with static shapes, without the operators that computed them.

    Args:
      graph: with the shapes that the file states.
      signatures: the shape signature of each tensor, -1 for what is open; () where there is none.

    Raises:
      TfliteError: something else than the batch is open, or a shape cannot be followed.
    """
    for i in graph.inputs:
        shape, signature = graph.tensors[i].shape, signatures[i]
        if signature and signature != shape and (signature[1:] != shape[1:] or shape[0] != 1):
            raise TfliteError(
                f"tensor {i} {graph.tensors[i].name!r}: got dynamic shape {list(signature)}; "
                f"{STATIC_HINT}"
            )
    tensors = list(graph.tensors)
    kept = []
    for index, op in enumerate(graph.operators):
        constant = _folded(tensors, op)
        if constant is not None:
            output = tensors[op.outputs[0]]
            value = np.ascontiguousarray(constant, output.dtype)
            value = value.reshape(constant.shape)  # of a scalar, too
            tensors[op.outputs[0]] = dataclasses.replace(output, shape=value.shape, data=value)
            continue
        kept.append(op)
        shapes = _shapes(graph, tensors, signatures, index)
        for place, shape in zip(op.outputs, shapes, strict=True):
            tensors[place] = dataclasses.replace(tensors[place], shape=shape)
    return dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(kept))


def _known(tensors: Sequence[Tensor], op: Operator) -> _Known:
    present = [i for i in op.inputs if i >= 0]
    return _Known(
        op, tuple(tensors[i].shape for i in present), tuple(tensors[i].data for i in present)
    )


def _same_scale(a: Tensor, b: Tensor) -> bool:
    if a.quantization is None or b.quantization is None:
        return a.quantization is b.quantization
    x, y = a.quantization, b.quantization
    return np.array_equal(x.scale, y.scale) and np.array_equal(x.zero_point, y.zero_point)


def _folded(tensors: Sequence[Tensor], op: Operator) -> Array | None:
    """The operator's value where shapes and constants give it."""
    rule = _MOVES.get(op.opcode)
    if rule is None or len(op.outputs) != 1:
        return None
    known, output = _known(tensors, op), tensors[op.outputs[0]]
    if op.opcode != "SHAPE":
        if any(value is None for value in known.values):
            return None
        if output.quantization is not None and not _same_scale(tensors[op.inputs[0]], output):
            return None
    try:
        return np.asarray(rule(known))
    except (LookupError, ValueError):
        return None


def _shapes(
    graph: Graph, tensors: Sequence[Tensor], signatures: Sequence[Shape], index: int
) -> list[Shape]:
    """Output shapes of an operator with the shapes that its inputs have by now."""
    op = graph.operators[index]
    stated = [graph.tensors[i].shape for i in op.outputs]
    before = [graph.tensors[i] for i in op.inputs if i >= 0]
    known = _known(tensors, op)
    unchanged = known.shapes == tuple(t.shape for t in before)
    # Positions of the dimensions that the file leaves open, of all outputs.
    opened = {d for i in op.outputs for d, n in enumerate(signatures[i]) if n < 0}
    if unchanged and (not opened or (op.opcode in _BATCH_FIRST and opened == {0})):
        return stated
    try:
        return _followed(known, len(stated))
    except (LookupError, ValueError):
        raise TfliteError(
            f"operator {index} ({op.name}): got inputs {[list(s) for s in known.shapes]} and an "
            f"output whose shape the file leaves open; {STATIC_HINT}"
        ) from None


def _followed(known: _Known, outputs: int) -> list[Shape]:
    """Output shapes by rule; LookupError where there is none."""
    opcode = known.op.opcode
    if opcode == "SPLIT":
        axis = int(known.value(0).reshape(-1)[0])
        shape = list(known.shapes[1])
        if shape[axis] % outputs:
            raise LookupError
        shape[axis] //= outputs
        return [tuple(shape)] * outputs
    if outputs != 1:
        raise LookupError
    if opcode in _SHAPES:
        return [_SHAPES[opcode](known)]
    return [np.shape(_MOVES[opcode](known.with_placeholders()))]


# ---- values --------------------------------------------------------------------------------------


def _strided_slice(k: _Known) -> Array:
    x, begin, end, step = (k.value(i) for i in range(4))
    o = k.op.options
    if o.ellipsisMask or o.newAxisMask:
        raise LookupError
    places: list[slice | int] = []
    for axis in range(len(begin)):
        first = None if o.beginMask >> axis & 1 else int(begin[axis])
        last = None if o.endMask >> axis & 1 else int(end[axis])
        if o.shrinkAxisMask >> axis & 1:
            places.append(int(begin[axis]))
        else:
            places.append(slice(first, last, int(step[axis])))
    return np.asarray(x[tuple(places)])


def _optional(numbers: Any) -> tuple[int, ...]:
    """SQUEEZE's dimensions; LookupError where none are named (then the file means all ones)."""
    if numbers is None or len(numbers) == 0:
        raise LookupError
    return tuple(int(n) for n in numbers)


def _axes(k: _Known) -> tuple[int, ...]:
    rank = len(k.shapes[0])
    return tuple(sorted({int(a) % rank for a in k.value(1).reshape(-1)}))


def _reshaped(k: _Known) -> Shape:
    target = [int(n) for n in k.value(1).reshape(-1)]
    count, known = math.prod(k.shapes[0]), math.prod(n for n in target if n >= 0)
    if target.count(-1) == 1 and known and count % known == 0:
        target[target.index(-1)] = count // known
    if math.prod(target) != count:
        raise LookupError
    return tuple(target)


def _prod(k: _Known) -> Array:
    product = np.prod(k.value(0), axis=_axes(k), keepdims=bool(k.op.options.keepDims))
    return np.asarray(product)


def _gather(k: _Known) -> Array:
    if k.op.options.batchDims:
        raise LookupError
    return np.take(k.value(0), k.value(1), axis=k.op.options.axis)


def _slice(k: _Known) -> Array:
    places = []
    for begin, size in zip(k.value(1), k.value(2), strict=True):
        places.append(slice(int(begin), None if size < 0 else int(begin + size)))
    return np.asarray(k.value(0)[tuple(places)])


# What moves values without computing with them: of constants their value, of others the shape.
_MOVES: dict[str, Callable[[_Known], Any]] = {
    "SHAPE": lambda k: np.array(k.shapes[0], np.int64),
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "REDUCE_PROD": _prod,
    "CONCATENATION": lambda k: np.concatenate(k.all_values(), axis=k.op.options.axis),
    "PACK": lambda k: np.stack(k.all_values(), axis=k.op.options.axis),
    "TRANSPOSE": lambda k: np.transpose(k.value(0), tuple(k.value(1))),
    "SLICE": _slice,
    "SQUEEZE": lambda k: np.squeeze(k.value(0), tuple(_optional(k.op.options.squeezeDims))),
    "RESHAPE": lambda k: k.value(0).reshape(_reshaped(k)),
    "EXPAND_DIMS": lambda k: np.expand_dims(k.value(0), int(k.value(1).reshape(-1)[0])),
    "BROADCAST_TO": lambda k: np.broadcast_to(k.value(0), tuple(k.value(1))),
    "TILE": lambda k: np.tile(k.value(0), tuple(k.value(1))),
    "FILL": lambda k: np.full(tuple(k.value(0)), k.value(1)),
}


# ---- shapes --------------------------------------------------------------------------------------


def _fully_connected(k: _Known) -> Shape:
    x, weights = k.shapes[:2]
    if k.op.options.keepNumDims:
        return (*x[:-1], weights[0])
    return (math.prod(x) // weights[1], weights[0])


def _matmul(k: _Known) -> Shape:
    a, b = k.shapes
    rows = a[-1] if k.op.options.adjX else a[-2]
    columns = b[-2] if k.op.options.adjY else b[-1]
    return (*np.broadcast_shapes(a[:-2], b[:-2]), rows, columns)


def _reduced(k: _Known) -> Shape:
    axes, keep = _axes(k), bool(k.op.options.keepDims)
    return tuple(1 if i in axes else n for i, n in enumerate(k.shapes[0]) if keep or i not in axes)


_SHAPES: dict[str, Callable[[_Known], Shape]] = {
    "RESHAPE": _reshaped,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _matmul,
    **dict.fromkeys(_SAME, lambda k: k.shapes[0]),
    **dict.fromkeys(_BROADCAST, lambda k: tuple(np.broadcast_shapes(*k.shapes))),
    **dict.fromkeys(_REDUCE, _reduced),
}
