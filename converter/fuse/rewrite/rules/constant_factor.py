# SPDX-License-Identifier: Apache-2.0
"""Constant MUL, DIV, ADD and SUB behind a linear layer become part of the layer.

y = c * (W x + b) + d per output channel. The integers of the weights stay as they are: a factor
goes into the channel's scale, its sign into the signs of the channel's weights and bias. Only an
offset is rounded, to a unit of the accumulator, far below a unit of any output. The layer then
writes what the constant operator wrote, so a rounding to int8 between the two is saved. The
constant operator may be in float between DEQUANTIZE
and QUANTIZE, as quantizers of PyTorch leave it.

LayerScale of a network exported from PyTorch is such a MUL (Touvron et al. 2021, CaiT).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.affine import Affine, affine_of
from converter.fuse.layout import data_input, view_input
from converter.fuse.op_semantics import RESHAPES, fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, same_type, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor

# Where the output channels of a layer's weights are.
_CHANNEL_AXIS = {"FULLY_CONNECTED": 0, "CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
_MAX_RESHAPES = 4
_MAX_CONSTANTS = 4  # that are folded into one layer
_OPCODES = frozenset({"MUL", "DIV", "ADD", "SUB"})
_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class _Ends:
    """The int8 tensors that a constant operator lies between, and the casts on the way."""

    x: int
    y: int
    casts: tuple[int, ...] = ()


def _ends(view: GraphView, source: int, result: int) -> _Ends | None:
    """Around the casts, where the operator reads and writes float; None if these serve others."""
    if view.tensor(result).dtype != np.float32:
        return _Ends(source, result)
    before, behind = view.producer(source), single_reader(view, result)
    if before is None or behind is None or single_reader(view, source) is None:
        return None
    if (view.op(before).opcode, view.op(behind).opcode) != ("DEQUANTIZE", "QUANTIZE"):
        return None
    return _Ends(view.op(before).inputs[0], view.op(behind).outputs[0], (before, behind))


def layer_before(view: GraphView, tensor: int) -> tuple[int, tuple[int, ...]] | None:
    """(layer, reshapes from last to first) whose only use is `tensor`."""
    passed: list[int] = []
    while single_reader(view, tensor) is not None and len(passed) <= _MAX_RESHAPES:
        op = view.producer(tensor)
        if op is None:
            return None
        operator = view.op(op)
        if operator.opcode in _CHANNEL_AXIS:
            return op, tuple(passed)
        source = view_input(view, op)
        if operator.opcode not in RESHAPES or source is None:
            return None
        if not same_type(view.tensor(source), view.tensor(tensor)):
            return None
        passed.append(op)
        tensor = source
    return None


def is_foldable(view: GraphView, op: int) -> bool:
    """Whether the constant of a float operator goes into the layer before it, once a QUANTIZE
    stands behind it: between the two are a DEQUANTIZE and other such operators."""
    source = data_input(view, op)
    if source is None or view.op(op).opcode not in _OPCODES:
        return False
    layer = _layer_in_float(view, source)
    if layer is None:
        return False
    channels = view.tensor(view.op(layer).outputs[0]).shape[-1]
    return affine_of(view, op, source, channels) is not None


def _layer_in_float(view: GraphView, tensor: int) -> int | None:
    """The layer that a float tensor is a DEQUANTIZE and constant operators away from, if all of
    these serve it alone."""
    for _ in range(_MAX_CONSTANTS):
        before = view.producer(tensor)
        if before is None or single_reader(view, tensor) is None:
            return None
        if view.op(before).opcode == "DEQUANTIZE":
            found = layer_before(view, view.op(before).inputs[0])
            return None if found is None else found[0]
        source = data_input(view, before)
        if view.op(before).opcode not in _OPCODES or source is None:
            return None
        tensor = source
    return None


def _scales_scores(view: GraphView, tensor: int) -> bool:
    """Whether a product of activations follows: a factor of q or k, which attention keeps real."""
    for op in view.consumers(tensor):
        if view.op(op).opcode == "BATCH_MATMUL":
            return True
        if view_input(view, op) is not None and any(
            _scales_scores(view, t) for t in view.op(op).outputs
        ):
            return True
    return False


def _scaled_weights(
    weights: Tensor, factor: NDArray[np.float64], axis: int
) -> tuple[NDArray[np.int8], Quantization] | None:
    """(integers, scales) of the weights times a factor per channel; None if there are none."""
    q = weights.quantization
    if weights.data is None or weights.dtype != np.int8 or q is None or np.any(q.zero_point):
        return None
    if len(q.scale) > 1 and q.axis != axis:
        return None
    signs = np.sign(factor).astype(np.int8)
    if weights.data.min(initial=0) == -128 and np.any(signs < 0):
        return None  # 128 is no int8
    shape = [1] * weights.data.ndim
    shape[axis] = len(factor)
    data = (weights.data * signs.reshape(shape)).astype(np.int8)
    size = np.where(factor == 0.0, 1.0, np.abs(factor))
    scale = (q.scale.astype(np.float64) * size).astype(np.float32)
    if not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        return None
    return data, Quantization(scale, np.zeros(len(scale), np.int64), axis if len(scale) > 1 else 0)


def _new_bias(
    bias: Tensor | None, affine: Affine, unit: NDArray[np.float64], channels: int
) -> NDArray[np.int32] | None:
    """int32 [channels] in the scaled layer's units; None if it has no such form."""
    values = np.zeros(channels)
    if bias is not None:
        if bias.data is None or bias.dtype != np.int32 or bias.size != channels:
            return None
        values = bias.data.reshape(-1) * np.sign(affine.factor)
    values = np.floor(values + affine.offset / unit + 0.5)
    return values.astype(np.int32) if np.max(np.abs(values)) <= _INT32 else None


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    source = data_input(view, op)
    ends = None if source is None else _ends(view, source, operator.outputs[0])
    if source is None or ends is None or not is_int8(view.tensor(ends.y)):
        return None
    found = layer_before(view, ends.x)
    if found is None:
        return None
    layer, reshapes = found
    channels = view.tensor(view.op(layer).outputs[0]).shape[-1]
    affine = affine_of(view, op, source, channels)
    if affine is None:
        return None
    scale_alone = operator.opcode in ("MUL", "DIV") and affine.factor.size == 1
    if scale_alone and _scales_scores(view, ends.y):
        return None
    return _folded(view, op, layer, (*reshapes, *ends.casts), ends.y, affine)


def _folded(
    view: GraphView, op: int, layer: int, passed: tuple[int, ...], result: int, affine: Affine
) -> Edit | None:
    """The layer with the constants in it, which writes `result`, in its shape."""
    old = view.op(layer)
    axis = _CHANNEL_AXIS[old.opcode]
    x, w, y = (view.tensor(i) for i in (*old.inputs[:2], old.outputs[0]))
    if fused_activation(old) != "NONE" or not is_int8(x) or not is_int8(y) or w.data is None:
        return None
    channels = w.shape[axis]
    scaled = _scaled_weights(w, affine.factor, axis)
    if scaled is None or y.shape[-1] != channels:
        return None
    data, q = scaled
    has_bias = len(old.inputs) > 2 and old.inputs[2] >= 0
    unit = x.scale * q.scale.astype(np.float64)
    bias = _new_bias(view.tensor(old.inputs[2]) if has_bias else None, affine, unit, channels)
    if bias is None:
        return None
    b = Builder(view)
    inputs = [old.inputs[0], b.constant(data, w.name, q)]
    if has_bias or np.any(bias):
        unit32 = unit.astype(np.float32)
        zeros = np.zeros(len(unit32), np.int64)
        inputs.append(b.constant(bias, f"{y.name}/bias", Quantization(unit32, zeros)))
    type_ = view.tensor(result).quantization
    options = _with_activation(view, layer, op)
    out = result
    if y.shape != view.tensor(result).shape:
        out = b.tensor(dataclasses.replace(y, quantization=type_))
    b.operators.append(
        dataclasses.replace(old, inputs=tuple(inputs), outputs=(out,), options=options)
    )
    if out != result:
        b.reshape(out, view.tensor(result).shape, result)
    return Edit((op, layer, *passed), tuple(b.operators), tuple(b.tensors))


def _with_activation(view: GraphView, layer: int, op: int) -> object:
    """The layer's options with the constant operator's fused activation."""
    old = view.op(layer).options
    options = type(old)()
    options.__dict__.update(old.__dict__)
    options.fusedActivationFunction = getattr(view.op(op).options, "fusedActivationFunction", 0)
    return options


RULE = Rule(
    "constant_factor",
    "folds a constant MUL, DIV, ADD or SUB, per channel or for all, into the linear layer or "
    "convolution before it",
    _OPCODES,
    _apply,
)
