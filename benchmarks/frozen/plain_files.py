# SPDX-License-Identifier: Apache-2.0
"""The plain int8 `.tflite` of a random architecture, computed with NumPy alone.

No converter takes part: another TensorFlow, Keras or processor gives the same file, so that a
difference in what becomes of it is a difference of this project.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from benchmarks.frozen.random_archs import RandomForm, RandomState
from converter.tflite import Operator, Quantization, Tensor
from keras_models.arch import ArchConfig
from tests.converter.fuse.blocks import activate
from tests.converter.fuse.plain_graph import PlainGraph, options

Array = NDArray[Any]
_FUSED_ACTIVATIONS = {"relu": 1}
_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "quick_gelu": "quick"}


def _same_pads(side: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    return total // 2, total - total // 2


def convolution(
    g: PlainGraph, x: int, kernel: int, stride: int, channels: int, activation: str = "none",
    same: bool = False,
) -> int:  # fmt: skip
    """CONV_2D with random weights, a scale for each output channel, and a fused RELU."""
    image, source = g.value(x), g.tensors[x]
    if same:
        pads = _same_pads(image.shape[1], kernel, stride)
        image = np.pad(image, ((0, 0), pads, pads, (0, 0)))
    shape = (channels, kernel, kernel, image.shape[3])
    real = g.rng.normal(0, 1.0 / np.sqrt(np.prod(shape[1:])), shape)
    scale = (np.abs(real).max(axis=(1, 2, 3)) / 127).astype(np.float32)
    data = np.rint(real / scale[:, None, None, None]).astype(np.int8)
    zeros = np.zeros(channels, np.int64)
    real = data * scale[:, None, None, None].astype(float)
    w = g._add(Tensor("w", data.shape, data.dtype, Quantization(scale, zeros, 0), data), real)
    unit = (source.scale * scale).astype(np.float32)
    b = np.rint(g.rng.normal(0, 0.1, channels) / unit).astype(np.int32)
    bias = g._add(Tensor("b", b.shape, b.dtype, Quantization(unit, zeros), b), b * unit)
    windows = sliding_window_view(image[0], (kernel, kernel), axis=(0, 1))[::stride, ::stride]
    result = np.einsum("yxchw,nhwc->yxn", windows, real)[None] + g.value(bias)
    if activation == "relu":
        result = np.maximum(result, 0.0)
    fields = options(
        "Conv2DOptions",
        padding=schema.Padding.SAME if same else schema.Padding.VALID,
        strideH=stride,
        strideW=stride,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=_FUSED_ACTIVATIONS.get(activation, 0),
    )
    return g.op("CONV_2D", [x, w, bias], result, **fields)


def _pad(g: PlainGraph, x: int, pixels: int) -> int:
    amounts = np.array([[0, 0], [pixels] * 2, [pixels] * 2, [0, 0]], np.int32)
    table = g._add(Tensor("pads", (4, 2), amounts.dtype, None, amounts), amounts)
    return g.op("PAD", [x, table], np.pad(g.value(x), amounts), like=x, **options("PadOptions"))


def _with_class_token(g: PlainGraph, t: int) -> int:
    """CONCATENATION wants one scale: the class token is stored in the patches'."""
    target, width = g.tensors[t], g.value(t).shape[-1]
    data = np.clip(np.rint(g.rng.normal(0, 0.3, (1, 1, width)) / target.scale), -99, 99)
    data = (data + target.zero_point).clip(-128, 127).astype(np.int8)
    row = Tensor("cls", data.shape, data.dtype, target.quantization, data)
    parts = [g._add(row, row.real()), t]
    joined = np.concatenate([g.value(p) for p in parts], axis=1)
    index = g.activation(joined, like=t, name="concat")
    fields = options("ConcatenationOptions", axis=1)
    g.operators.append(Operator("CONCATENATION", tuple(parts), (index,), **fields))
    return index


def _embed(g: PlainGraph, x: int, arch: ArchConfig) -> int:
    """Stem and patch embedding: tokens [1, tokens, embed_dim]."""
    for layer in arch.stem:
        x = convolution(g, x, layer.kernel, layer.stride, layer.channels, layer.activation, True)
        if layer.activation == "gelu":
            x = activate(g, x, "gelu")
    if arch.patch_padding:
        x = _pad(g, x, arch.patch_padding)
    t = convolution(g, x, arch.patch_size, arch.patch_size, arch.embed_dim)
    t = g.reshape(t, 1, arch.grid**2, arch.embed_dim)
    if arch.pool == "cls":
        t = _with_class_token(g, t)
    return g.add(t, g.constant(g.rng.normal(0, 0.3, (1, arch.tokens, arch.embed_dim))))


def _dense(g: PlainGraph, x: int, outputs: int, rank: int, std: float) -> int:
    """A linear layer, or a low-rank pair whose first half has no bias."""
    if rank:
        x = g.linear(x, rank, bias=False)
    return g.linear(x, outputs, std)


def _attention(g: PlainGraph, x: int, arch: ArchConfig, block: int) -> int:
    inner, ranks = arch.inner_dim(block), arch.block_ranks(block)
    heads, width, tokens = arch.heads[block], arch.head_dim, arch.tokens
    h = g.layer_norm(x)
    if arch.attention == "packed":
        parts = g.split(_dense(g, h, 3 * inner, ranks.qkv, 1.5), 3)
    else:
        parts = [_dense(g, h, inner, ranks.qkv, std) for std in (2.0, 2.0, 1.0)]
    q, k, v = (g.transpose(g.reshape(p, 1, tokens, heads, width), 0, 2, 1, 3) for p in parts)
    q = g.mul(q, g.constant(np.array(width**-0.5)))
    context = g.matmul(g.softmax(g.matmul(q, k, adj_y=True)), v)
    merged = g.reshape(g.transpose(context, 0, 2, 1, 3), 1, tokens, inner)
    return g.add(x, _dense(g, merged, arch.embed_dim, ranks.proj, 0.5))


def _mlp(g: PlainGraph, x: int, arch: ArchConfig, block: int) -> int:
    ranks = arch.block_ranks(block)
    h = _dense(g, g.layer_norm(x), arch.hidden_dim(block), ranks.fc1, 1.0)
    a = activate(g, h, _ACTIVATIONS[arch.activation])
    return g.add(x, _dense(g, a, arch.embed_dim, ranks.fc2, 0.7))


def _classify(g: PlainGraph, x: int, arch: ArchConfig) -> int:
    y, width = g.layer_norm(x), arch.embed_dim
    if arch.pool == "cls":
        y = g.reshape(g.slice(y, (0, 0, 0), (1, 1, width)), 1, width)
    else:
        y = g.mean(y, 1, keep=False)
    return g.linear(y, arch.num_classes)


def plain_file(form: RandomForm) -> bytes:
    """The plain `.tflite` of a random network; depends on its seed alone."""
    arch, rng = form.arch, RandomState(form.seed)
    g = PlainGraph(rng)
    x = g.input(rng.normal(0.0, 0.5, (1, arch.image_size, arch.image_size, arch.channels)))
    t = _embed(g, x, arch)
    for block in range(arch.depth):
        t = _mlp(g, _attention(g, t, arch, block), arch, block)
    return g.finish(_classify(g, t, arch))


def random_inputs(
    name: str, shapes: list[tuple[tuple[int, ...], np.dtype[Any]]], count: int
) -> list[tuple[Array, ...]]:
    """`count` sets of inputs that depend on the name, shapes and types alone.

    int8 and uint8 are of the whole range, int32 and int64 small indices, floats normal.
    """
    rng = RandomState(zlib.crc32(name.encode()))

    def draw(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if dtype.kind == "f":
            return rng.normal(0, 1, shape).astype(dtype)
        if dtype.itemsize == 1:
            info = np.iinfo(dtype)
            return rng.randint(info.min, info.max + 1, shape).astype(dtype)
        return rng.randint(0, 10, shape).astype(dtype)

    return [tuple(draw(shape, dtype) for shape, dtype in shapes) for _ in range(count)]
