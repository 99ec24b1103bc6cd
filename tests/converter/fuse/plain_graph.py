# SPDX-License-Identifier: Apache-2.0
"""Builds plain int8 graphs by hand: ViT pieces in shapes that no converter at hand emits.

Every tensor carries its real value for one sample; activation ranges are learnt from it. The values
are computed here, with NumPy, not by the code under test.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from scipy.special import erf

from converter.tflite import Graph, Model, Operator, Quantization, Tensor, serialize

Array = np.ndarray[Any, Any]
_ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU6": 3}
# Output scales that TFLite's kernels demand.
_FIXED = {
    "softmax": Quantization.per_tensor(1 / 256, -128),
    "logistic": Quantization.per_tensor(1 / 256, -128),
    "tanh": Quantization.per_tensor(1 / 128, 0),
    "l2_normalization": Quantization.per_tensor(1 / 128, 0),
}


def options(kind: str, **fields: Any) -> dict[str, Any]:
    """Keyword arguments of Operator for the options object of that kind."""
    value = getattr(schema, f"{kind}T")()
    for name, field in fields.items():
        setattr(value, name, field)
    return {"options": value, "options_type": getattr(schema.BuiltinOptions, kind)}


@dataclasses.dataclass(eq=False)
class PlainGraph:
    """A graph that grows operator by operator; tensors are numbers, `value` their real values."""

    rng: np.random.Generator
    tensors: list[Tensor] = dataclasses.field(default_factory=list)
    values: list[Array] = dataclasses.field(default_factory=list)
    operators: list[Operator] = dataclasses.field(default_factory=list)
    inputs: list[int] = dataclasses.field(default_factory=list)

    # ---- tensors -------------------------------------------------------------------------------

    def value(self, tensor: int) -> Array:
        return self.values[tensor]

    def _add(self, tensor: Tensor, value: Array) -> int:
        self.tensors.append(tensor)
        self.values.append(value)
        return len(self.tensors) - 1

    def activation(self, value: Array, like: int | None = None, name: str = "t") -> int:
        """An int8 activation; its scale fits the value, or is that of another tensor."""
        if name in _FIXED:
            quantization = _FIXED[name]
        elif like is not None:
            quantization = self.tensors[like].quantization
        else:
            low, high = min(0.0, float(value.min())), max(0.0, float(value.max()))
            scale = max(high - low, 1e-6) / 255.0
            zero_point = int(np.clip(round(-128 - low / scale), -128, 127))
            quantization = Quantization.per_tensor(scale, zero_point)
        label = f"{name}{len(self.tensors)}"
        return self._add(Tensor(label, value.shape, np.dtype(np.int8), quantization), value)

    def input(self, value: Array) -> int:
        index = self.activation(value, name="input")
        self.inputs.append(index)
        return index

    def constant(self, value: Array) -> int:
        """An int8 constant with one scale; its value becomes what int8 can hold."""
        value = np.asarray(value, np.float64)
        low, high = min(0.0, float(value.min())), max(0.0, float(value.max()))
        scale = np.float32(max(high - low, 1e-9) / 255.0)
        zero_point = int(np.clip(round(-128 - low / float(scale)), -128, 127))
        data = np.clip(np.rint(value / scale) + zero_point, -128, 127).astype(np.int8)
        quantization = Quantization.per_tensor(float(scale), zero_point)
        tensor = Tensor(f"c{len(self.tensors)}", value.shape, data.dtype, quantization, data)
        return self._add(tensor, tensor.real())

    def indices(self, *values: int, scalar: bool = False) -> int:
        data = np.array(values[0] if scalar else values, np.int32)
        return self._add(Tensor(f"i{len(self.tensors)}", data.shape, data.dtype, None, data), data)

    def condition(self, value: Array) -> int:
        """A constant of truths."""
        tensor = Tensor(f"b{len(self.tensors)}", value.shape, np.dtype(np.bool_), None, value)
        return self._add(tensor, value)

    # ---- operators -----------------------------------------------------------------------------

    def op(self, opcode: str, inputs: list[int], result: Array, like: int | None = None,
           **opts: Any) -> int:  # fmt: skip
        """Appends an operator with one result of that real value."""
        index = self.activation(result, like, name=opcode.lower())
        self.operators.append(Operator(opcode, tuple(inputs), (index,), **opts))
        return index

    def linear(self, x: int, outputs: int, std: float = 1.0, activation: str = "NONE",
               per_channel: bool = True, bias: bool = True) -> int:  # fmt: skip
        """FULLY_CONNECTED with random weights on the last axis."""
        source = self.tensors[x]
        inputs = source.shape[-1]
        real = self.rng.normal(0, std / np.sqrt(inputs), (outputs, inputs))
        peak = np.abs(real).max(axis=1) if per_channel else np.full(1, np.abs(real).max())
        scale = (peak / 127.0).astype(np.float32)
        data = np.rint(real / scale.reshape(-1, 1)).astype(np.int8)
        zeros = np.zeros(len(scale), np.int64)
        w = self._add(
            Tensor("w", data.shape, data.dtype, Quantization(scale, zeros, 0), data),
            data * scale.reshape(-1, 1).astype(np.float64),
        )
        result = self.values[x] @ self.values[w].T
        arguments = [x, w]
        if bias:
            unit = (source.scale * scale).astype(np.float32)
            b = np.rint(self.rng.normal(0, 0.1, outputs) / unit).astype(np.int32)
            arguments.append(
                self._add(Tensor("b", b.shape, b.dtype, Quantization(unit, zeros), b), b * unit)
            )
            result = result + self.values[arguments[2]]
        if activation == "RELU":
            result = np.maximum(result, 0.0)
        return self.op(
            "FULLY_CONNECTED",
            arguments,
            result,
            **options(
                "FullyConnectedOptions",
                keepNumDims=True,
                fusedActivationFunction=_ACTIVATIONS[activation],
            ),
        )

    def add(self, a: int, b: int) -> int:
        value = self.values[a] + self.values[b]
        return self.op("ADD", [a, b], value, **options("AddOptions", potScaleInt16=True))

    def sub(self, a: int, b: int) -> int:
        return self.op("SUB", [a, b], self.values[a] - self.values[b], **options("SubOptions"))

    def mul(self, a: int, b: int) -> int:
        return self.op("MUL", [a, b], self.values[a] * self.values[b], **options("MulOptions"))

    def mean(self, x: int, axis: int, keep: bool = True) -> int:
        value = self.values[x].mean(axis=axis, keepdims=keep)
        arguments = [x, self.indices(axis)]
        return self.op("MEAN", arguments, value, **options("ReducerOptions", keepDims=keep))

    def rsqrt(self, x: int) -> int:
        return self.op("RSQRT", [x], 1.0 / np.sqrt(self.values[x]))

    def reshape(self, x: int, *shape: int) -> int:
        value = self.values[x].reshape(shape)
        arguments = [x, self.indices(*shape)]
        return self.op("RESHAPE", arguments, value, like=x, **options("ReshapeOptions"))

    def transpose(self, x: int, *order: int) -> int:
        value = self.values[x].transpose(order)
        arguments = [x, self.indices(*order)]
        return self.op("TRANSPOSE", arguments, value, like=x, **options("TransposeOptions"))

    def slice(self, x: int, begin: tuple[int, ...], size: tuple[int, ...]) -> int:
        window = tuple(slice(b, b + s) for b, s in zip(begin, size, strict=True))
        arguments = [x, self.indices(*begin), self.indices(*size)]
        value = self.values[x][window]
        return self.op("SLICE", arguments, value, like=x, **options("SliceOptions"))

    def strided_slice(self, x: int, begin: int, end: int) -> int:
        """x[..., begin:end] of a 3-D tensor, the other axes mostly left to masks."""
        batch = self.values[x].shape[0]
        ends = self.indices(batch, 0, end)
        arguments = [x, self.indices(0, 0, begin), ends, self.indices(1, 1, 1)]
        opts = options("StridedSliceOptions", beginMask=3 if begin else 7, endMask=2)
        return self.op("STRIDED_SLICE", arguments, self.values[x][..., begin:end], like=x, **opts)

    def split(self, x: int, parts: int) -> list[int]:
        axis = self.indices(self.values[x].ndim - 1, scalar=True)
        outputs = [
            self.activation(v, like=x, name="split")
            for v in np.split(self.values[x], parts, axis=-1)
        ]
        opts = options("SplitOptions", numSplits=parts)
        self.operators.append(Operator("SPLIT", (axis, x), tuple(outputs), **opts))
        return outputs

    def pack(self, parts: list[int], axis: int) -> int:
        value = np.stack([self.values[p] for p in parts], axis)
        opts = options("PackOptions", axis=axis, valuesCount=len(parts))
        return self.op("PACK", parts, value, like=parts[0], **opts)

    def div(self, a: int, b: int) -> int:
        return self.op("DIV", [a, b], self.values[a] / self.values[b], **options("DivOptions"))

    def concatenation(self, parts: list[int], axis: int) -> int:
        value = np.concatenate([self.values[p] for p in parts], axis)
        opts = options("ConcatenationOptions", axis=axis)
        return self.op("CONCATENATION", parts, value, like=parts[0], **opts)

    def gather(self, x: int, order: tuple[int, ...], axis: int) -> int:
        value = np.take(self.values[x], order, axis)
        opts = options("GatherOptions", axis=axis, batchDims=0)
        return self.op("GATHER", [x, self.indices(*order)], value, like=x, **opts)

    def tile(self, x: int, times: tuple[int, ...]) -> int:
        value = np.tile(self.values[x], times)
        return self.op("TILE", [x, self.indices(*times)], value, like=x, **options("TileOptions"))

    def broadcast_to(self, x: int, shape: tuple[int, ...]) -> int:
        value = np.broadcast_to(self.values[x], shape).copy()
        opts = options("BroadcastToOptions")
        return self.op("BROADCAST_TO", [x, self.indices(*shape)], value, like=x, version=2, **opts)

    def convolution(self, x: int, outputs: int, kernel: int, depthwise: bool = False) -> int:
        """CONV_2D or DEPTHWISE_CONV_2D (outputs as inputs), VALID, random weights per channel."""
        source = self.tensors[x]
        _height, _width, depth = source.shape[1:]
        last = 3 if depthwise else 0
        shape = (1, kernel, kernel, outputs) if depthwise else (outputs, kernel, kernel, depth)
        real = self.rng.normal(0, 1 / (kernel * np.sqrt(1 if depthwise else depth)), shape)
        others = tuple(i for i in range(4) if i != last)
        scale = (np.abs(real).max(axis=others) / 127.0).astype(np.float32)
        wide = scale.reshape([-1 if i == last else 1 for i in range(4)]).astype(np.float64)
        data = np.rint(real / wide).astype(np.int8)
        zeros = np.zeros(outputs, np.int64)
        w = self._add(
            Tensor("w", shape, data.dtype, Quantization(scale, zeros, last), data), data * wide
        )
        unit = (source.scale * scale).astype(np.float32)
        b = np.rint(self.rng.normal(0, 0.1, outputs) / unit).astype(np.int32)
        bias = self._add(Tensor("b", b.shape, b.dtype, Quantization(unit, zeros), b), b * unit)
        windows = np.lib.stride_tricks.sliding_window_view(
            self.values[x], (kernel, kernel), axis=(1, 2)
        )
        letters = "nyxcij,zijc->nyxc" if depthwise else "nyxcij,oijc->nyxo"
        result = np.einsum(letters, windows, self.values[w]) + self.values[bias]
        kind = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        opts = options(kind, padding=1, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
        if depthwise:
            opts["options"].depthMultiplier = 1
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        return self.op(name, [x, w, bias], result, **opts)

    def matmul(self, a: int, b: int, adj_x: bool = False, adj_y: bool = False) -> int:
        left = self.values[a].swapaxes(-1, -2) if adj_x else self.values[a]
        right = self.values[b].swapaxes(-1, -2) if adj_y else self.values[b]
        opts = options("BatchMatMulOptions", adjX=adj_x, adjY=adj_y)
        return self.op("BATCH_MATMUL", [a, b], left @ right, **opts)

    def softmax(self, x: int) -> int:
        e = np.exp(self.values[x] - self.values[x].max(axis=-1, keepdims=True))
        value = e / e.sum(axis=-1, keepdims=True)
        return self.op("SOFTMAX", [x], value, **options("SoftmaxOptions", beta=1.0))

    def in_float(self, first: int) -> None:
        """Makes tensors from that one on float32, as where a converter left operators so."""
        for index in range(first, len(self.tensors)):
            t = self.tensors[index]
            if t.quantization is not None:
                data = None if t.data is None else t.real().astype(np.float32)
                self.tensors[index] = dataclasses.replace(
                    t, dtype=np.dtype(np.float32), quantization=None, data=data
                )

    def unary(self, opcode: str, x: int, value: Array, **opts: Any) -> int:
        return self.op(opcode, [x], value, **opts)

    def gelu(self, x: int, approximate: bool = False) -> int:
        v = self.values[x]
        tanh = np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3))
        cdf = tanh if approximate else erf(v / np.sqrt(2))
        opts = options("GeluOptions", approximate=approximate)
        return self.unary("GELU", x, 0.5 * v * (1 + cdf), **opts)

    # ---- ViT pieces ----------------------------------------------------------------------------

    def layer_norm(self, x: int, affine: bool = True, epsilon: float = 1e-3) -> int:
        """x - mean written out, with gamma and beta behind it."""
        centred = self.sub(x, self.mean(x, self.values[x].ndim - 1))
        variance = self.mean(self.mul(centred, centred), self.values[x].ndim - 1)
        y = self.mul(centred, self.rsqrt(self.add(variance, self.constant(np.array(epsilon)))))
        if not affine:
            return y
        width = self.values[x].shape[-1]
        y = self.mul(y, self.constant(self.rng.uniform(0.5, 1.5, width)))
        return self.add(y, self.constant(self.rng.normal(0, 0.1, width)))

    def rms_norm(self, x: int, gamma: Array | None, epsilon: float = 1e-6) -> int:
        """As Keras writes it; without gamma where it is None."""
        squares = self.mean(self.mul(x, x), -1)
        root = self.rsqrt(self.add(squares, self.constant(np.full((1,), epsilon))))
        normalized = self.mul(x, root)
        return normalized if gamma is None else self.mul(normalized, self.constant(gamma))

    def finish(self, *outputs: int) -> bytes:
        """The `.tflite`."""
        graph = Graph(
            tuple(self.tensors), tuple(self.operators), tuple(self.inputs), tuple(outputs)
        )
        return serialize(Model(graph, description="made by hand"))

    def quantized(self, tensor: int) -> Array:
        """The sample value of an int8 tensor as integers."""
        t = self.tensors[tensor]
        q = np.rint(self.values[tensor] / t.scale) + t.zero_point
        return np.clip(q, -128, 127).astype(np.int8)
