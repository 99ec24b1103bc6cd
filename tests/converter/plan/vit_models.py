# SPDX-License-Identifier: Apache-2.0
"""`.tflite` models for the planner's tests, made without TensorFlow.

``fused_model`` writes the fused form of an architecture with zero weights; ``plain_graph`` states
the operators that TensorFlow's converter emits for one (Keras 3 LayerNormalization, packed qkv).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.plan.weightless import ANY_SCALE, ANY_ZERO_POINT, fused_file, weightless_graph
from converter.tflite import Graph, Operator, Quantization, Tensor
from keras_models.arch import ArchConfig
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import (
    Attention,
    Linear,
    Mlp,
    Norm,
    Params,
    PatchEmbed,
    Projection,
)
from tflm_custom_ops.ops.layouts import MAX4, UNIT4, WeightLayout
from tflm_custom_ops.ops.weightless import with_layout

INT8 = np.dtype(np.int8)
QUANTIZATION = Quantization.per_tensor(ANY_SCALE, ANY_ZERO_POINT)


def _random_linear(rng: np.random.Generator, p: Linear) -> Linear:
    """Weights that bring sums of int8 inputs to about a quarter of the output's range."""
    n, k = p.weights.shape
    weights = rng.integers(-127, 128, (n, k)).astype(np.int8)
    if p.layout.bits == 4:
        weights = (UNIT4 * np.clip(weights // UNIT4, -MAX4, MAX4)).astype(np.int8)
    factor = min(0.45, p.out_max / 4 / (70.0 * 73.0 * np.sqrt(k))) * rng.uniform(0.5, 1.0, n)
    bias = rng.integers(-2000, 2000, n).astype(np.int32)
    return dataclasses.replace(
        p,
        weights=weights,
        bias=bias,
        multiplier=np.round(factor * 2.0**32).astype(np.int32),
        k_block=exact_k_block(weights, bias),
    )


def _random_projection(
    rng: np.random.Generator, p: Projection, down: Linear | None = None
) -> Projection:
    if p.down is None:
        return Projection(_random_linear(rng, p.up))
    return Projection(_random_linear(rng, p.up), down=down or _random_linear(rng, p.down))


def randomized(op: Params, rng: np.random.Generator) -> Params:
    """The operator with random weights of sensible scale."""
    changes: dict[str, object] = {}
    shared = getattr(op, "shared_down", False)
    for field in (f for f in dataclasses.fields(op) if f.init):
        value = getattr(op, field.name)
        if isinstance(value, Projection):
            down = changes["q"].down if shared and "q" in changes and field.name != "out" else None
            value = _random_projection(rng, value, down)
        elif isinstance(value, Linear):
            value = _random_linear(rng, value)
        elif isinstance(value, Norm):
            d = value.gamma.shape[0]
            gamma = rng.integers(3 << 22, 5 << 22, d).astype(np.int32)
            value = Norm(gamma, rng.integers(-2000, 2000, d).astype(np.int32), 1000)
        elif field.name == "lut":
            value = rng.integers(-128, 128, 256).astype(np.int8)
        elif field.name == "exp_table":
            value = np.round((2**15 - 1) * 2.0 ** (-np.arange(256) / 256)).astype(np.uint16)
        elif field.name in ("pos", "cls") and value is not None:
            value = rng.integers(-100, 100, value.shape).astype(value.dtype)
        elif field.name == "pool_multiplier":
            value = (1 << 32) // max(3, op.tokens)
        changes[field.name] = value
    if isinstance(op, Attention):
        changes["k"] = _clamped_keys(changes["k"])
    return dataclasses.replace(op, **changes)


def _clamped_keys(k: Projection) -> Projection:
    return dataclasses.replace(k, up=dataclasses.replace(k.up, out_min=-127))


def _stream_type(op: Params) -> Params:
    """The last projection clamps to the residual stream's type."""
    wide = {"out_min": -(1 << 15), "out_max": (1 << 15) - 1}
    if isinstance(op, PatchEmbed) and op.output_bits == 16:
        return dataclasses.replace(op, linear=dataclasses.replace(op.linear, **wide))
    name = {Attention: "out", Mlp: "fc2"}.get(type(op))
    if name is None or op.residual.bits == 8:
        return op
    last = getattr(op, name)
    return dataclasses.replace(
        op, **{name: dataclasses.replace(last, up=dataclasses.replace(last.up, **wide))}
    )


def fused_model(
    arch: ArchConfig, residual_bits: int = 8, seed: int | None = None, weight_bits: int = 8
) -> bytes:
    """A complete fused file: options and packed weights, zero or (with a seed) random.

    Args:
      weight_bits: 4 for all layers; 8 leaves blocks as they are.
    """
    graph, ops = weightless_graph(arch, residual_bits)
    if weight_bits == 4:
        ops = tuple(None if op is None else with_layout(op, WeightLayout.QUADS4) for op in ops)
    if seed is not None:
        rng = np.random.default_rng(seed)
        ops = tuple(None if op is None else randomized(_stream_type(op), rng) for op in ops)
    return fused_file(graph, ops)


class _Plain:
    """Adds operators one after another; tensors are named by index."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.tensors = [Tensor("image", shape, INT8)]
        self.operators: list[Operator] = []

    def constant(self, *shape: int) -> int:
        data = np.broadcast_to(np.zeros((), np.int8), shape)
        self.tensors.append(Tensor(f"c{len(self.tensors)}", shape, INT8, data=data))
        return len(self.tensors) - 1

    def op(self, name: str, inputs: tuple[int, ...], *shape: int, dtype: type = np.int8) -> int:
        self.tensors.append(Tensor(f"{name}{len(self.tensors)}", shape, np.dtype(dtype)))
        self.operators.append(Operator(name, inputs, (len(self.tensors) - 1,)))
        return len(self.tensors) - 1

    def split(self, x: int, *shape: int) -> tuple[int, int, int]:
        first = len(self.tensors)
        self.tensors += [Tensor(f"part{first + i}", shape, INT8) for i in range(3)]
        outputs = (first, first + 1, first + 2)
        self.operators.append(Operator("SPLIT", (self.constant(1), x), outputs))
        return outputs

    def layer_norm(self, x: int, t: int, d: int) -> int:
        """The 13 operators of Keras 3's LayerNormalization."""
        axis = self.constant(1)
        mean = self.op("MEAN", (x, axis), 1, t, 1)
        wide = self.op("DEQUANTIZE", (mean,), 1, t, 1, dtype=np.float32)
        minus = self.op("QUANTIZE", (self.op("NEG", (wide,), 1, t, 1, dtype=np.float32),), 1, t, 1)
        squares = self.op("SQUARED_DIFFERENCE", (x, mean), 1, t, d)
        variance = self.op("MEAN", (squares, axis), 1, t, 1)
        variance = self.op("ADD", (variance, self.constant(1)), 1, t, 1)
        inverse = self.op("RSQRT", (variance,), 1, t, 1)
        scale = self.op("MUL", (inverse, self.constant(d)), 1, t, d)
        shift = self.op("MUL", (minus, scale), 1, t, d)
        shift = self.op("ADD", (shift, self.constant(d)), 1, t, d)
        return self.op("ADD", (self.op("MUL", (x, scale), 1, t, d), shift), 1, t, d)

    def dense(self, x: int, *shape: int) -> int:
        return self.op("FULLY_CONNECTED", (x, self.constant(shape[-1], 8)), *shape)

    def attention(self, x: int, t: int, d: int, heads: int, head_dim: int) -> int:
        inner = heads * head_dim
        qkv = self.dense(self.layer_norm(x, t, d), 1, t, 3 * inner)
        parts = []
        for part in self.split(qkv, 1, t, inner):
            part = self.op("RESHAPE", (part,), 1, t, heads, head_dim)
            parts.append(self.op("TRANSPOSE", (part,), 1, heads, t, head_dim))
        q = self.op("MUL", (parts[0], self.constant(1)), 1, heads, t, head_dim)
        scores = self.op("BATCH_MATMUL", (q, parts[1]), 1, heads, t, t)
        weights = self.op("SOFTMAX", (scores,), 1, heads, t, t)
        context = self.op("BATCH_MATMUL", (weights, parts[2]), 1, heads, t, head_dim)
        context = self.op("TRANSPOSE", (context,), 1, t, heads, head_dim)
        context = self.op("RESHAPE", (context,), t, inner)
        return self.op("ADD", (x, self.dense(context, 1, t, d)), 1, t, d)

    def mlp(self, x: int, t: int, d: int, hidden: int) -> int:
        h = self.dense(self.layer_norm(x, t, d), 1, t, hidden)
        h = self.op("GELU", (h,), 1, t, hidden)
        return self.op("ADD", (x, self.dense(h, 1, t, d)), 1, t, d)


def plain_graph(arch: ArchConfig) -> Graph:
    """The unfused graph; vit_t_240 has 570 operators or so."""
    t, d, grid = arch.tokens, arch.embed_dim, arch.grid
    p = _Plain((1, arch.image_size, arch.image_size, arch.channels))
    x = p.op("CONV_2D", (0, p.constant(1)), 1, grid, grid, d)
    x = p.op("RESHAPE", (x,), 1, t, d)
    x = p.op("ADD", (x, p.constant(t, d)), 1, t, d)
    for block in range(arch.depth):
        x = p.attention(x, t, d, arch.heads[block], arch.head_dim)
        x = p.mlp(x, t, d, arch.hidden_dim(block))
    x = p.layer_norm(x, t, d)
    x = p.op("MEAN", (x, p.constant(1)), 1, d)
    x = p.dense(x, 1, arch.num_classes)
    return Graph(tuple(p.tensors), tuple(p.operators), (0,), (x,))
