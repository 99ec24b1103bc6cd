# SPDX-License-Identifier: Apache-2.0
"""Patches that a convolution of single taps cuts out, and the layer on them: one convolution."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.tflite import Quantization
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import accuracy, graph_of, opcodes, result, rewritten

RULE = "unfolded_patches"


@dataclasses.dataclass(frozen=True)
class Cut:
    """Patches of kernel x kernel pixels; `channels` taps of them, all where None."""

    kernel: int = 2
    stride: int = 2
    depth: int = 3
    size: int = 6
    channels: int | None = None
    twice: bool = False
    factor: int = 127
    rows: int = 0


def built(cut: Cut, seed: int = 0, activation: str = "NONE") -> tuple[PlainGraph, int, int]:
    """Image, taps, RESHAPE, linear layer."""
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, (1, cut.size, cut.size, cut.depth)))
    whole = cut.kernel**2 * cut.depth
    count = cut.channels or whole
    taken = g.rng.permutation(whole)[:count]
    if cut.twice:
        taken[0] = taken[-1]
    patches = _taps(g, x, cut, taken)
    grid = g.value(patches).shape[1]
    width = cut.rows or count
    flat = g.reshape(patches, 1, grid * grid * count // width, width)
    return g, x, g.linear(flat, 5, activation=activation)


def _taps(g: PlainGraph, x: int, cut: Cut, taken: np.ndarray) -> int:
    """A CONV_2D whose filters are single taps, as `extract_patches` has them."""
    first = len(g.tensors)
    y = g.convolution(x, len(taken), cut.kernel)
    data = np.zeros((len(taken), cut.kernel**2 * cut.depth), np.int8)
    data[np.arange(len(taken)), taken] = cut.factor
    shape = (len(taken), cut.kernel, cut.kernel, cut.depth)
    one = Quantization.per_tensor(1 / 127, 0)
    zeros = np.zeros(len(taken), np.int32)
    unit = Quantization.per_tensor(g.tensors[x].scale / 127, 0)
    w, b = g.tensors[first : first + 2]
    g.tensors[first] = dataclasses.replace(w, data=data.reshape(shape), quantization=one)
    g.tensors[first + 1] = dataclasses.replace(b, data=zeros, quantization=unit)
    op = g.operators[-1]
    op.options.strideH = op.options.strideW = cut.stride
    windows = np.lib.stride_tricks.sliding_window_view(
        g.value(x), (cut.kernel, cut.kernel), axis=(1, 2)
    )[:, :: cut.stride, :: cut.stride]
    rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)
    g.values[y] = rows[..., taken] * cut.factor / 127
    g.tensors[y] = dataclasses.replace(
        g.tensors[y], shape=g.values[y].shape, quantization=g.tensors[x].quantization
    )
    return y


CUTS = st.builds(
    Cut,
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    depth=st.integers(1, 4),
    size=st.integers(3, 7),
    channels=st.sampled_from([None, 1, None]),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(CUTS, st.sampled_from(["NONE", "RELU"]), st.integers(0, 2**32 - 1))
def test_the_same_is_computed(cut: Cut, activation: str, seed: int) -> None:
    g, x, y = built(cut, seed, activation)
    assume(np.any(g.value(y)))  # of zeros alone there is no scale that a layer can have
    graph = rewritten(g, y, by=RULE).graph
    assert opcodes(graph) == ["CONV_2D", "RESHAPE"]
    sample = g.quantized(x)
    one, two = (result(each, sample).astype(int) for each in (graph, graph_of(g, y)))
    away = np.abs(one - two)  # LiteRT rounds sums of the two kinds of layers differently
    assert away.max() <= 1
    assert np.count_nonzero(away) <= 1 + away.size // 20


def test_patches_in_another_scale_are_no_worse() -> None:
    g, x, y = built(Cut())
    patches = g.operators[0].outputs[0]
    for t in (patches, g.operators[1].outputs[0]):
        wide = Quantization.per_tensor(g.tensors[x].scale * 1.7, 3)
        g.tensors[t] = dataclasses.replace(g.tensors[t], quantization=wide)
    both = accuracy(g, x, y, by=RULE)
    assert both.rewritten > both.plain


@pytest.mark.parametrize("cut", [Cut(factor=64), Cut(factor=-127), Cut(twice=True), Cut(rows=6)])
def test_what_is_no_pixel_or_no_patch_stays(cut: Cut) -> None:
    g, _, y = built(cut)
    assert opcodes(rewritten(g, y, by=RULE).graph) == opcodes(graph_of(g, y))


def test_it_is_a_patch_embedding() -> None:
    """Of keras.io's Vision Transformer: no matrix of taps is left in the file."""
    g, x, y = built(Cut(kernel=4, stride=4, size=16))
    content = g.finish(y)
    found = outcome(g, x, y)
    assert found.codes == {"VitPatchEmbed": 1}
    assert found.report.leftovers == ()
    assert len(fuse_model(content).model_bytes) < len(content)
