# SPDX-License-Identifier: Apache-2.0
"""Weights with zero points: the same real numbers in symmetric int8, or left as they are."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse.patterns.linear import channel_weights
from converter.tflite import Quantization, Tensor
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import rewritten

RULE = "weight_zero_point"
KINDS = ("linear", "convolution", "depthwise")


def layer(rng: np.random.Generator, kind: str, per_channel: bool) -> tuple[PlainGraph, int]:
    g = PlainGraph(rng)
    if kind == "linear":
        x = g.input(rng.normal(0, 1, (1, 3, 6)))
        return g, g.linear(x, 5, per_channel=per_channel)
    x = g.input(rng.normal(0, 1, (1, 4, 4, 3)))
    return g, g.convolution(x, 3, 2, depthwise=kind == "depthwise")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(KINDS), st.booleans(), st.integers(0, 127), st.integers(0, 2**32 - 1))
def test_real_weights_stay_the_same(kind: str, per_channel: bool, far: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, y = layer(rng, kind, per_channel)
    index = g.operators[0].inputs[1]
    w = g.tensors[index]
    assert w.quantization is not None
    points = rng.integers(-far, far + 1, len(w.quantization.scale))
    q = Quantization(w.quantization.scale, points, w.quantization.axis)
    data = rng.integers(far - 128, 128 - far, w.shape) + q.along(w.data.ndim)[1].astype(np.int64)
    g.tensors[index] = dataclasses.replace(w, data=data.astype(np.int8), quantization=q)
    graph = rewritten(g, y, by=RULE).graph
    new = graph.tensors[graph.operators[0].inputs[1]]
    assert new.quantization is not None
    assert not np.any(new.quantization.zero_point)
    np.testing.assert_array_equal(new.real(), g.tensors[index].real())


def test_weights_too_far_from_their_zero_point_stay() -> None:
    g, y = layer(np.random.default_rng(0), "linear", True)
    index = g.operators[0].inputs[1]
    q = g.tensors[index].quantization
    assert q is not None
    far = Quantization(q.scale, np.full(len(q.scale), 3), q.axis)
    data = np.array(g.tensors[index].data)
    data[0, 0] = -126  # 129 below its zero point
    g.tensors[index] = dataclasses.replace(g.tensors[index], data=data, quantization=far)
    assert rewritten(g, y, by=RULE).graph.operators[0].inputs[1] == index


def test_minus_128_is_clipped_or_its_channel_scaled() -> None:
    """Whichever is nearer: one weight of many is clipped, a channel of them is scaled."""
    data = np.full((2, 8), 64, np.int8)
    data[0, 0] = data[1, :] = -128
    scale = np.array([0.5, 0.25], np.float32)
    weights = Tensor("w", data.shape, data.dtype, Quantization(scale, np.zeros(2, np.int64)), data)
    found = channel_weights(weights, "layer")
    np.testing.assert_array_equal(found.values[0], [-127, *[64] * 7])
    np.testing.assert_array_equal(found.values[1], [-127] * 8)
    np.testing.assert_allclose(found.scale, [0.5, 0.25 * 128 / 127])
