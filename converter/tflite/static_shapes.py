# SPDX-License-Identifier: Apache-2.0
"""Files whose shapes are left open although the batch is 1, as `from_keras_model` makes them.

The converter states a shape and, beside it, a shape signature with -1 for what it does not know.
It then computes shapes at run time (SHAPE, GATHER, PACK ... RESHAPE), and masks from them (RANGE,
LESS_EQUAL ...). With the batch of 1 all of that is known: integers and masks that follow from
shapes are folded into constants, and every tensor gets the shape that follows. What cannot be
followed is refused, never guessed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite.model import Graph, Operator, Tensor, TfliteError
from converter.tflite.shapes import Known, Shape, output_shapes
from converter.tflite.shapes.known import axes_of, known_of
from converter.tflite.sizes import check_tensor_bytes

Array = NDArray[Any]
STATIC_HINT = (
    "convert with a static batch of 1, e.g. "
    "model.export(path, input_signature=[keras.InputSpec(shape=(1, ...))])"
)


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


def _same_scale(a: Tensor, b: Tensor) -> bool:
    if a.quantization is None or b.quantization is None:
        return a.quantization is b.quantization
    x, y = a.quantization, b.quantization
    return np.array_equal(x.scale, y.scale) and np.array_equal(x.zero_point, y.zero_point)


def _is_plain(tensors: Sequence[Tensor], op: Operator) -> bool:
    """Whether an operator computes with integers and masks that no scale belongs to."""
    operands = [tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
    plain = all(t.dtype.name in _TYPES and t.quantization is None for t in operands)
    return plain and not getattr(op.options, "fusedActivationFunction", 0)


def _folded(tensors: Sequence[Tensor], op: Operator) -> Array | None:
    """The operator's value where shapes and constants give it."""
    rule = _MOVES.get(op.opcode) or _PLAIN.get(op.opcode)
    if rule is None or len(op.outputs) != 1:
        return None
    known, output = known_of(tensors, op), tensors[op.outputs[0]]
    if op.opcode in _PLAIN and not _is_plain(tensors, op):
        return None
    if op.opcode != "SHAPE":
        if any(value is None for value in known.values):
            return None
        if output.quantization is not None and not _same_scale(tensors[op.inputs[0]], output):
            return None
    try:
        (shape,) = output_shapes(known)
        check_tensor_bytes(output.name, shape, output.dtype)  # before anything of it is made
        return np.asarray(rule(known))
    except (LookupError, ValueError) as error:
        if isinstance(error, TfliteError):
            raise
        return None


def _shapes(
    graph: Graph, tensors: Sequence[Tensor], signatures: Sequence[Shape], index: int
) -> Sequence[Shape]:
    """Output shapes of an operator with the shapes that its inputs have by now."""
    op = graph.operators[index]
    stated = [graph.tensors[i].shape for i in op.outputs]
    known = known_of(tensors, op)
    unchanged = known.shapes == known_of(graph.tensors, op).shapes
    if unchanged and not any(n < 0 for i in op.outputs for n in signatures[i]):
        return stated
    try:
        return output_shapes(known)
    except (LookupError, ValueError) as error:
        raise TfliteError(
            f"operator {index} ({op.name}): got inputs {[list(s) for s in known.shapes]} and an "
            f"output whose shape the file leaves open{_because(error)}; {STATIC_HINT}"
        ) from None


def _because(error: Exception) -> str:
    return f" ({error})" if str(error) else ""


# ---- values --------------------------------------------------------------------------------------


def _strided_slice(k: Known) -> Array:
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


def _prod(k: Known) -> Array:
    product = np.prod(k.value(0), axis=axes_of(k), keepdims=bool(k.op.options.keepDims))
    return np.asarray(product)


def _gather(k: Known) -> Array:
    if k.op.options.batchDims:
        raise LookupError
    return np.take(k.value(0), k.value(1), axis=k.op.options.axis)


def _slice(k: Known) -> Array:
    places = []
    for begin, size in zip(k.value(1), k.value(2), strict=True):
        places.append(slice(int(begin), None if size < 0 else int(begin + size)))
    return np.asarray(k.value(0)[tuple(places)])


def _range(start: Array, limit: Array, delta: Array) -> Array:
    return np.arange(*(int(v.reshape(-1)[0]) for v in (start, limit, delta)), dtype=start.dtype)


# What moves values without computing with them: of constants their value, of others the shape.
_MOVES: dict[str, Callable[[Known], Any]] = {
    "SHAPE": lambda k: np.array(k.shapes[0], np.int64),
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "REDUCE_PROD": _prod,
    "CONCATENATION": lambda k: np.concatenate(k.all_values(), axis=k.op.options.axis),
    "PACK": lambda k: np.stack(k.all_values(), axis=k.op.options.axis),
    "TRANSPOSE": lambda k: np.transpose(k.value(0), tuple(k.value(1))),
    "SLICE": _slice,
    "SQUEEZE": lambda k: k.value(0).reshape(*output_shapes(k)),
    "RESHAPE": lambda k: k.value(0).reshape(*output_shapes(k)),
    "EXPAND_DIMS": lambda k: np.expand_dims(k.value(0), int(k.value(1).reshape(-1)[0])),
    "BROADCAST_ARGS": lambda k: np.array(
        np.broadcast_shapes(*(tuple(v) for v in k.all_values())), np.int64
    ),
    "BROADCAST_TO": lambda k: np.broadcast_to(k.value(0), tuple(k.value(1))),
    "TILE": lambda k: np.tile(k.value(0), tuple(k.value(1))),
    "FILL": lambda k: np.full(tuple(k.value(0)), k.value(1)),
}

_TYPES = ("int32", "int64", "bool")


def _of(compute: Callable[..., Any]) -> Callable[[Known], Array]:
    def value(k: Known) -> Array:
        with np.errstate(over="ignore"):  # wraps, as on a device
            return np.asarray(compute(*k.all_values()))

    return value


# What Keras computes from the number of tokens: positions, and who may see whom.
_PLAIN: dict[str, Callable[[Known], Array]] = {
    "RANGE": _of(_range),
    "ADD": _of(np.add),
    "SUB": _of(np.subtract),
    "NEG": _of(np.negative),
    "LESS": _of(np.less),
    "LESS_EQUAL": _of(np.less_equal),
    "GREATER": _of(np.greater),
    "GREATER_EQUAL": _of(np.greater_equal),
    "EQUAL": _of(np.equal),
    "NOT_EQUAL": _of(np.not_equal),
    "LOGICAL_AND": _of(np.logical_and),
    "LOGICAL_OR": _of(np.logical_or),
    "LOGICAL_NOT": _of(np.logical_not),
    "SELECT_V2": _of(np.where),
}
