# SPDX-License-Identifier: Apache-2.0
"""Linear layers: FULLY_CONNECTED, alone or as a low-rank pair."""

from __future__ import annotations

import dataclasses
from collections.abc import Container
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import same_order
from converter.fuse.op_semantics import fused_activation
from converter.fuse.patterns.match import OneInput
from converter.fuse.region import check_closed
from converter.tflite import GraphView, Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class DenseLayer:
    """y = x.W^T + bias of int8 tensors.

    Attributes:
      op: operator index.
      input, output: tensor indices.
      weights: int8 [out_features, in_features].
      weight_scale: float64 [out_features].
      bias: int64 [out_features], in units of in_scale * weight_scale.
      in_scale, in_zero_point, out_scale, out_zero_point: of the activations.
      activation: name of the fused activation.
    """

    op: int
    input: int
    output: int
    weights: NDArray[np.int8]
    weight_scale: NDArray[np.float64]
    bias: NDArray[np.int64]
    in_scale: float
    in_zero_point: int
    out_scale: float
    out_zero_point: int
    activation: str

    def rows(self, features: NDArray[np.int64]) -> DenseLayer:
        """The layer that computes only these output features, in this order."""
        return dataclasses.replace(
            self,
            weights=self.weights[features],
            weight_scale=self.weight_scale[features],
            bias=self.bias[features],
        )

    def columns(self, features: NDArray[np.int64]) -> DenseLayer:
        """The layer for an input whose features stand in this order."""
        return dataclasses.replace(self, weights=self.weights[:, features])


@dataclasses.dataclass(frozen=True, eq=False)
class ProjectionMatch:
    """One dense layer, or two without an activation between them (low rank).

    Attributes:
      layers: (dense,) or (down, up).
      input: activation that the first layer reads, before any reshape.
      ops: all operators, reshapes between them included.
    """

    layers: tuple[DenseLayer, ...]
    input: int
    ops: tuple[int, ...]

    @property
    def first(self) -> DenseLayer:
        return self.layers[0]

    @property
    def last(self) -> DenseLayer:
        return self.layers[-1]

    @property
    def tensors(self) -> tuple[int, ...]:
        """What its layers read, and the result between them."""
        return tuple(layer.input for layer in self.layers) + tuple(
            layer.output for layer in self.layers[:-1]
        )

    def rows(self, features: NDArray[np.int64]) -> ProjectionMatch:
        return dataclasses.replace(self, layers=(*self.layers[:-1], self.last.rows(features)))

    def columns(self, features: NDArray[np.int64]) -> ProjectionMatch:
        return dataclasses.replace(self, layers=(self.first.columns(features), *self.layers[1:]))


def require_int8(view: GraphView, tensor: int, what: str) -> Tensor:
    """The tensor, if it is int8 with one scale.

    Raises:
      NoMatchError: it is not.
    """
    t = view.tensor(tensor)
    if t.dtype != np.int8:
        raise NoMatchError(f"{what} is {t.dtype}, expected int8")
    if t.quantization is None or len(t.quantization.scale) != 1 or t.scale <= 0:
        raise NoMatchError(f"{what} has no single positive scale")
    return t


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelWeights:
    """Symmetric weights of a layer, a row an output channel.

    Attributes:
      values: int8 [channels, inputs], -127..127.
      scale: float64 [channels].
    """

    values: NDArray[np.int8]
    scale: NDArray[np.float64]


def channel_weights(weights: Tensor, what: str) -> ChannelWeights:
    """The weights of a symmetric int8 constant [channels, ...].

    A weight of -128, which the fused operators do not have, becomes -127, or its whole channel gets
    a scale 128 / 127 times as large: whichever changes the channel less. The gate decides whether
    that is good enough.

    Raises:
      NoMatchError: not int8, a zero point, or scales along another axis.
    """
    q = weights.quantization
    if weights.data is None or weights.dtype != np.int8 or q is None:
        raise NoMatchError(f"{what} has no constant int8 weights with a scale")
    if np.any(q.zero_point != 0):
        raise NoMatchError(f"{what} has weights with a zero point that int8 weights cannot absorb")
    if len(q.scale) > 1 and q.axis != 0:
        raise NoMatchError(f"{what} has a weight scale per input channel, expected per output")
    channels = weights.shape[0]
    rows = weights.data.reshape(channels, -1)
    scale = np.broadcast_to(q.scale.astype(np.float64), (channels,)).copy()
    if rows.min(initial=0) >= -127:
        return ChannelWeights(rows, scale)
    coarser = np.rint(rows * (127 / 128))
    clipped = np.count_nonzero(rows == -128, axis=1)
    better = np.sum((coarser * (128 / 127) - rows) ** 2, axis=1) < clipped
    values = np.where(better[:, None], coarser, np.maximum(rows, -127)).astype(np.int8)
    return ChannelWeights(values, np.where(better, scale * (128 / 127), scale))


_BEYOND_ANY_SUM = 2.0**62


def integer_bias(bias: Tensor | None, unit: NDArray[np.float64], what: str) -> NDArray[np.int64]:
    """The bias in units of input scale times weight scale, int64 [channels].

    Raises:
      NoMatchError: not a constant int32 (or int64) of the right length, or beyond int64.
    """
    if bias is None:
        return np.zeros(len(unit), np.int64)
    if bias.data is None or bias.quantization is None or bias.size != len(unit):
        raise NoMatchError(f"{what} has a bias that is no quantized constant of {len(unit)}")
    scale = np.broadcast_to(bias.quantization.scale.astype(np.float64), (len(unit),))
    values = bias.data.reshape(-1).astype(np.int64)
    ratio = scale / unit
    # The file's bias scale is that product in float32; use the integers as they are then.
    same = np.abs(ratio - 1.0) < 1e-5
    scaled = np.floor(values * ratio + 0.5)
    if not np.all(np.abs(scaled) < _BEYOND_ANY_SUM):
        raise NoMatchError(f"{what} has a bias whose scale is far from that of its products")
    return np.where(same, values, scaled.astype(np.int64))


def match_dense(view: GraphView, op: int) -> DenseLayer:
    """A FULLY_CONNECTED operator on int8 tensors.

    Raises:
      NoMatchError: another operator, or types that the fused operators do not have.
    """
    operator = view.op(op)
    what = view.label(op)
    if operator.opcode != "FULLY_CONNECTED":
        raise NoMatchError(f"expected FULLY_CONNECTED, got {what}")
    if getattr(operator.options, "weightsFormat", 0):
        raise NoMatchError(f"{what} has shuffled weights")
    x = require_int8(view, operator.inputs[0], f"input of {what}")
    y = require_int8(view, operator.outputs[0], f"output of {what}")
    w = view.tensor(operator.inputs[1])
    if w.data is None or len(w.shape) != 2:
        raise NoMatchError(f"{what} has no constant 2-D weights")
    weights = channel_weights(w, what)
    unit = x.scale * weights.scale
    has_bias = len(operator.inputs) > 2 and operator.inputs[2] >= 0
    return DenseLayer(
        op=op,
        input=operator.inputs[0],
        output=operator.outputs[0],
        weights=weights.values,
        weight_scale=weights.scale,
        bias=integer_bias(view.tensor(operator.inputs[2]) if has_bias else None, unit, what),
        in_scale=x.scale,
        in_zero_point=x.zero_point,
        out_scale=y.scale,
        out_zero_point=y.zero_point,
        activation=fused_activation(operator),
    )


def is_dense(view: GraphView, op: int | None) -> bool:
    return op is not None and view.op(op).opcode == "FULLY_CONNECTED"


def match_projection(view: GraphView, output: int, what: str) -> ProjectionMatch:
    """The linear layer, or low-rank pair, whose result is the tensor `output`.

    Raises:
      NoMatchError: `output` is not made by a FULLY_CONNECTED that can be fused.
    """
    op = view.producer(output)
    if op is None:
        raise NoMatchError(f"{what} is the graph's input, expected FULLY_CONNECTED")
    up = match_dense(view, op)
    inner = same_order(view, up.input)
    before = view.producer(inner.base)
    if not is_dense(view, before):
        return ProjectionMatch((up,), inner.base, (op, *inner.ops))
    assert before is not None
    down = match_dense(view, before)
    if down.activation != "NONE":
        return ProjectionMatch((up,), inner.base, (op, *inner.ops))
    outer = same_order(view, down.input)
    return ProjectionMatch((down, up), outer.base, (op, *inner.ops, before, *outer.ops))


@dataclasses.dataclass(frozen=True, eq=False)
class LinearMatch(OneInput):
    """A projection on its own: y [rows, out_features] of x [rows, in_features]."""

    READS_STREAM: ClassVar[bool] = False
    WRITES_STREAM: ClassVar[bool] = False

    x: int
    y: int
    rows: int
    projection: ProjectionMatch
    ops: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """Tensors inside, besides x and y, that the fused operator has in the same type."""
        return self.projection.tensors[1:]


def match_linear(view: GraphView, op: int, taken: Container[int]) -> LinearMatch:
    """The FULLY_CONNECTED `op` on its own, as the second of a low-rank pair where that saves work.

    Args:
      taken: operators that belong to other matches.

    Raises:
      NoMatchError: with the reason.
    """
    y = view.op(op).outputs[0]
    pair = match_projection(view, y, view.label(op))
    if len(pair.layers) == 2:
        try:
            _check_pair(view, pair, taken)
        except NoMatchError:
            pair = ProjectionMatch((pair.last,), pair.last.input, (op,))
    if len(pair.layers) == 1:  # reshapes before a single layer stay: they may have other readers
        pair = ProjectionMatch((pair.last,), pair.last.input, (op,))
    rows = view.tensor(y).size // pair.last.weights.shape[0]
    return LinearMatch(pair.input, y, rows, pair, tuple(sorted(set(pair.ops))))


def _check_pair(view: GraphView, pair: ProjectionMatch, taken: Container[int]) -> None:
    if any(op in taken for op in pair.ops):
        raise NoMatchError("its first layer belongs to another operator")
    rank, inputs = pair.first.weights.shape
    outputs = pair.last.weights.shape[0]
    if rank * (inputs + outputs) >= inputs * outputs:
        raise NoMatchError("its inner width is no low rank")
    check_closed(view, pair.ops, {pair.last.output})
