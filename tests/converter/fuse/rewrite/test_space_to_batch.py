# SPDX-License-Identifier: Apache-2.0
"""A dilated convolution over time, taken apart and put together, computes the same integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, result, rewritten


def _apart(g: PlainGraph, x: int, dilation: int, pads: tuple[int, int], crop: int) -> int:
    """SPACE_TO_BATCH_ND, CONV_2D of one row with a kernel of 3, BATCH_TO_SPACE_ND."""

    def pair(*values: int) -> int:
        index = g.indices(*values)
        data = np.array([values], np.int32)
        g.tensors[index] = g.tensors[index].__class__("pads", data.shape, data.dtype, None, data)
        return index

    steps = np.pad(g.value(x)[0], (pads, (0, 0)))
    parts = np.stack([steps[i::dilation] for i in range(dilation)])
    block = g.indices(dilation)
    apart = g.op("SPACE_TO_BATCH_ND", [x, block, pair(*pads)], parts, like=x,
                 **options("SpaceToBatchNDOptions"))  # fmt: skip
    rows = g.reshape(apart, dilation, 1, *parts.shape[1:])
    real = g.rng.normal(0, 0.3, (5, 1, 3, parts.shape[2]))
    w = g.constant(real)
    scale = float(np.abs(real).max() / 127)
    data = np.rint(real / scale).astype(np.int8)
    quantization = type(g.tensors[w].quantization).per_tensor(scale, 0)  # type: ignore[union-attr]
    g.tensors[w] = g.tensors[w].__class__("w", data.shape, data.dtype, quantization, data)
    zeros = np.zeros(5, np.int32)
    unit = type(quantization).per_tensor(g.tensors[x].scale * scale, 0)
    bias = g.indices(*zeros)
    g.tensors[bias] = g.tensors[bias].__class__("b", zeros.shape, zeros.dtype, unit, zeros)
    count = parts.shape[1] - 2
    value = sum(parts[:, t : t + count] @ (data[:, 0, t] * scale).T for t in range(3))
    conv = options("Conv2DOptions", padding=1, strideH=1, strideW=1,
                   dilationHFactor=1, dilationWFactor=1)  # fmt: skip
    made = g.op("CONV_2D", [rows, w, bias], value[:, None], **conv)
    back = g.reshape(made, *value.shape)
    together = value.transpose(1, 0, 2).reshape(1, -1, 5)
    together = together[:, : together.shape[1] - crop]
    inputs = [back, g.indices(dilation), pair(0, crop)]
    return g.op("BATCH_TO_SPACE_ND", inputs, together, like=back,
                **options("BatchToSpaceNDOptions"))  # fmt: skip


@settings(max_examples=6, deadline=None)
@given(dilation=st.integers(2, 3), steps=st.integers(5, 7), crop=st.integers(0, 1),
       first=st.integers(0, 4), seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_it_is_one_convolution(dilation: int, steps: int, crop: int, first: int, seed: int) -> None:
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, (1, steps * dilation - first - crop, 4)))
    y = _apart(g, x, dilation, (first, crop), crop)
    plain, graph = graph_of(g, y), rewritten(g, y, by="space_to_batch").graph
    assert [n for n in opcodes(graph) if n not in ("RESHAPE", "PAD")] == ["CONV_2D"]
    np.testing.assert_array_equal(result(graph, g.quantized(x)), result(plain, g.quantized(x)))


def test_what_is_cropped_at_the_start_stays() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 12, 4)))
    y = _apart(g, x, 2, (0, 0), 1)  # of which nothing was padded
    assert "SPACE_TO_BATCH_ND" in opcodes(rewritten(g, y, by="space_to_batch").graph)
