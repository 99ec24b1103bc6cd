# SPDX-License-Identifier: Apache-2.0
"""Patch embeddings in several spellings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.runtimes.reference import GraphInterpreter
from converter.tflite import Operator, Quantization, Tensor, parse
from tests.converter.fuse.blocks import mlp
from tests.converter.fuse.checks import outcome, sqnr_db
from tests.converter.fuse.plain_graph import Array, PlainGraph, options
from tflm_custom_ops.ops import PatchEmbed, decode


@dataclasses.dataclass(frozen=True)
class Spelling:
    """How a patch embedding is written.

    Attributes:
      size, channels, patch, stride, width: of image, patches and tokens.
      padding: "valid", "same" or "pad" (an operator of its own, one pixel).
      cls: class token: "no", "before" or "after" the positions are added.
      grid_positions: positions are added to the 4-D grid, before the reshape.
      positions: whether there are any.
      planes: the image comes as PyTorch has it, and is transposed.
    """

    size: int = 8
    channels: int = 2
    patch: int = 4
    stride: int = 4
    width: int = 5
    padding: str = "valid"
    cls: str = "no"
    grid_positions: bool = False
    positions: bool = True
    planes: bool = False


def _pads(s: Spelling) -> tuple[int, int]:
    """Pixels before and after the image."""
    if s.padding == "pad":
        return 1, 1
    if s.padding == "valid":
        return 0, 0
    outputs = -(-s.size // s.stride)
    total = max(0, (outputs - 1) * s.stride + s.patch - s.size)
    return total // 2, total - total // 2


def _convolve(image: Array, filters: Array, stride: int) -> Array:
    side = filters.shape[1]
    ys, xs = (range(0, n - side + 1, stride) for n in image.shape[1:3])
    rows = [
        [np.einsum("yxc,nyxc->n", image[0, y : y + side, x : x + side], filters) for x in xs]
        for y in ys
    ]
    return np.array(rows)[None]


def conv(g: PlainGraph, x: int, s: Spelling, activation: int = 0, dilation: int = 1) -> int:
    before, after = _pads(s)
    image = np.pad(g.value(x), ((0, 0), (before, after), (before, after), (0, 0)))
    if s.padding == "pad":
        amounts = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)
        table = g._add(Tensor("pads", (4, 2), amounts.dtype, None, amounts), amounts)
        x = g.op("PAD", [x, table], image, like=x, **options("PadOptions"))
    source = g.tensors[x]
    real = g.rng.normal(0, 0.2, (s.width, s.patch, s.patch, s.channels))
    scale = (np.abs(real).max(axis=(1, 2, 3)) / 127).astype(np.float32)
    data = np.rint(real / scale[:, None, None, None]).astype(np.int8)
    zeros = np.zeros(s.width, np.int64)
    real = data * scale[:, None, None, None].astype(float)
    w = g._add(Tensor("w", data.shape, data.dtype, Quantization(scale, zeros, 0), data), real)
    unit = (source.scale * scale).astype(np.float32)
    b = np.rint(g.rng.normal(0, 0.1, s.width) / unit).astype(np.int32)
    bias = g._add(Tensor("b", b.shape, b.dtype, Quantization(unit, zeros), b), b * unit)
    opts = options(
        "Conv2DOptions",
        padding=schema.Padding.SAME if s.padding == "same" else schema.Padding.VALID,
        strideH=s.stride,
        strideW=s.stride,
        fusedActivationFunction=activation,
        dilationHFactor=dilation,
        dilationWFactor=dilation,
    )
    result = _convolve(image, real, s.stride) + g.value(bias)
    return g.op("CONV_2D", [x, w, bias], result, **opts)


def concat(g: PlainGraph, parts: list[int]) -> int:
    value = np.concatenate([g.value(p) for p in parts], axis=1)
    index = g.activation(value, like=parts[-1], name="concat")
    opts = options("ConcatenationOptions", axis=1)
    g.operators.append(Operator("CONCATENATION", tuple(parts), (index,), **opts))
    return index


def embed(g: PlainGraph, x: int, s: Spelling) -> int:
    t = conv(g, x, s)
    rows, columns = g.value(t).shape[1:3]
    patches = rows * columns
    if s.grid_positions and s.positions:
        t = g.add(t, g.constant(g.rng.normal(0, 0.3, (1, rows, columns, s.width))))
    t = g.reshape(t, 1, patches, s.width)
    if s.cls == "before":
        t = _with_cls(g, t, s)
    if s.positions and not s.grid_positions:
        t = g.add(t, g.constant(g.rng.normal(0, 0.3, (1, g.value(t).shape[1], s.width))))
    return _with_cls(g, t, s) if s.cls == "after" else t


def _with_cls(g: PlainGraph, t: int, s: Spelling) -> int:
    """CONCATENATION wants one scale: the class token is stored in the patches'."""
    target = g.tensors[t]
    data = np.clip(np.rint(g.rng.normal(0, 0.3, (1, 1, s.width)) / target.scale), -99, 99)
    data = (data + target.zero_point).clip(-128, 127).astype(np.int8)
    row = Tensor("cls", data.shape, data.dtype, target.quantization, data)
    return concat(g, [g._add(row, row.real()), t])


@given(
    st.builds(
        Spelling,
        size=st.sampled_from([8, 9, 11]),
        channels=st.integers(1, 3),
        patch=st.sampled_from([3, 4]),
        stride=st.sampled_from([2, 3, 4]),
        width=st.integers(2, 6),
        padding=st.sampled_from(["valid", "same", "pad"]),
        cls=st.sampled_from(["no", "before", "after"]),
        grid_positions=st.booleans(),
        positions=st.booleans(),
        planes=st.booleans(),
    ),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_patch_embedding(s: Spelling, seed: int) -> None:
    g = PlainGraph(np.random.default_rng(seed))
    sides = (s.size, s.size + (s.padding != "same"))
    x = g.input(
        g.rng.uniform(-1, 1, (1, s.channels, *sides) if s.planes else (1, *sides, s.channels))
    )
    y = embed(g, g.transpose(x, 0, 2, 3, 1) if s.planes else x, s)
    result = outcome(g, x, y)
    assert result.codes == {"VitPatchEmbed": 1}
    assert result.report.ops_after == 1
    assert result.fused_db > min(30.0, result.plain_db - 3.0)


@pytest.mark.parametrize("cls", ["no", "before", "after"])
@pytest.mark.parametrize("seed", range(4))
def test_int16_tokens(cls: str, seed: int) -> None:
    """The int16 range is the calibrated one, and tokens are nearer to the real ones than int8."""
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.uniform(-1, 1, (1, 8, 8, 2)))
    tokens = embed(g, x, Spelling(cls=cls))
    plain = g.finish(g.layer_norm(tokens))
    interpreter = GraphInterpreter(fuse_model(plain, residual_bits=16).model_bytes)
    graph = interpreter.model.graph
    assert [op.name for op in graph.operators] == ["VitPatchEmbed", "VitLayerNorm"]
    index = graph.operators[0].outputs[0]
    wide, narrow = graph.tensors[index], g.tensors[tokens]
    assert wide.dtype == np.int16
    assert wide.zero_point == 0
    largest = narrow.scale * max(128 + narrow.zero_point, 127 - narrow.zero_point)
    assert wide.scale == pytest.approx(largest / 32767)
    got = interpreter.tensors(g.quantized(x))[index] * wide.scale
    # What is left is the image's and the weights' error: no step of the tokens.
    assert np.max(np.abs(got - g.value(tokens))) < 1.5 * narrow.scale
    assert sqnr_db(g.value(tokens), got) > 40.0


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("planes", [False, True])
def test_patches_cut_out_by_reshapes(channels_first: bool, positions: bool, planes: bool) -> None:
    """As ViTs without a convolution do it: reshape, transpose, reshape, one linear layer."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.uniform(-1, 1, (1, 3, 6, 8) if planes else (1, 6, 8, 3)))
    # grid row, row in patch, grid column, column in patch, and the channel before or behind
    cells = g.reshape(x, *((3, 3, 2, 2, 4) if planes else (3, 2, 2, 4, 3)))
    order = (0, 2, 4, 1, 3) if channels_first else (0, 2, 1, 3, 4)
    order = tuple((i + 1) % 5 for i in order) if planes else order
    y = g.linear(g.reshape(g.transpose(cells, *order), 1, 6, 24), 5)
    if positions:
        y = g.add(y, g.constant(g.rng.normal(0, 0.3, (1, 6, 5))))
    result = outcome(g, x, y)
    assert result.codes == {"VitPatchEmbed": 1}
    assert result.report.ops_after == 1
    assert result.fused_db > 30


def test_patches_in_columns_stay_builtin() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.uniform(-1, 1, (1, 6, 8, 3)))
    cells = g.transpose(g.reshape(x, 3, 2, 2, 4, 3), 2, 0, 1, 3, 4)
    result = outcome(g, x, g.linear(g.reshape(cells, 1, 6, 24), 5))
    assert result.codes == {"VitLinear": 1}
    assert result.fused_db > 30


def test_patches_of_different_forms_stay_builtin() -> None:
    """Columns of six pixels read eight at a time."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.uniform(-1, 1, (1, 6, 8, 3)))
    y = g.linear(g.reshape(g.transpose(x, 0, 2, 1, 3), 1, 6, 24), 5)
    result = outcome(g, x, y)
    assert result.codes == {"VitLinear": 1}
    assert result.fused_db > 30


def test_positions_of_the_graph_are_kept_exactly() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.uniform(-1, 1, (1, 8, 8, 2)))
    y = embed(g, x, Spelling())
    stored = next(t.data for t in g.tensors if t.name.startswith("c") and t.shape == (1, 4, 5))
    graph = parse(fuse_model(g.finish(y)).model_bytes).graph
    op = graph.operators[0]
    fused = decode(op.custom_options, graph.tensors[op.inputs[1]].data.tobytes())
    assert isinstance(fused, PatchEmbed)
    assert np.array_equal(fused.pos, stored[0])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"activation": 1}, "fused RELU"), ({"dilation": 2}, "dilated")],
)
def test_refused(fields: dict[str, int], reason: str) -> None:
    g = PlainGraph(np.random.default_rng(0))
    # 11 rows: two windows of 4 with a stride of 4, dilated ones of 7 as well.
    x = g.input(g.rng.uniform(-1, 1, (1, 11, 11, 2)))
    t = conv(g, x, Spelling(), **fields)
    y = g.reshape(t, 1, 4, 5)
    report = fuse_model(g.finish(y)).report
    assert report.fused == ()
    assert reason in report.not_fused[0].reason


def test_stem_convolution_is_no_patch_embedding() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.uniform(-1, 1, (1, 8, 8, 2)))
    report = fuse_model(g.finish(conv(g, x, Spelling()))).report
    assert report.not_fused[0].reason == "CONV_2D (op 0) is not followed by tokens"


def test_transposed_grid_is_refused() -> None:
    """Tokens down the columns: a kernel that writes rows would mix them up."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.uniform(-1, 1, (1, 8, 8, 2)))
    y = g.reshape(g.transpose(conv(g, x, Spelling()), 0, 2, 1, 3), 1, 4, 5)
    report = fuse_model(g.finish(y)).report
    assert report.fused == ()


def test_residual_read_by_a_builtin_stays_int8() -> None:
    """Pooling of a stream that is not normalised first has no int16 form."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.uniform(-1, 1, (1, 8, 8, 2)))
    stream = mlp(g, embed(g, x, Spelling()))
    normal = fuse_model(g.finish(g.layer_norm(stream)), residual_bits=16)
    assert [op.residual_bits for op in normal.report.fused] == [16, 16, 8]
    assert normal.report.notes == ()
    pooled = fuse_model(g.finish(g.layer_norm(stream), g.mean(stream, 1)), residual_bits=16)
    assert {op.residual_bits for op in pooled.report.fused} == {8}
    assert len(pooled.report.notes) == 1
    assert "MEAN" in pooled.report.notes[0]
    assert "has no int16 form" in pooled.report.notes[0]
