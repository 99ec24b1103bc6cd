# SPDX-License-Identifier: Apache-2.0
"""Layers over several images: the same integers image by image, or over stacked rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import equal_everywhere, opcodes, rewritten


def _images(count: int, height: int = 6) -> tuple[PlainGraph, int, int]:
    """One image of stacked rows comes in, as several."""
    g = PlainGraph(np.random.default_rng(count))
    x = g.input(g.rng.normal(0, 1, (1, count * height, 5, 4)))
    return g, x, g.reshape(x, count, height, 5, 4)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("count", [2, 11])
def test_windows_that_overlap(count: int, depthwise: bool) -> None:
    g, x, several = _images(count)
    y = g.convolution(several, 4, 3, depthwise)
    found = opcodes(rewritten(g, y, by="batched_images").graph)
    assert found.count("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D") == count
    equal_everywhere(g, x, y)


def test_windows_that_do_not() -> None:
    g, x, several = _images(3)
    y = g.convolution(several, 8, 1)
    assert opcodes(rewritten(g, y, by="batched_images").graph).count("CONV_2D") == 1
    equal_everywhere(g, x, y)


@pytest.mark.parametrize(("side", "stride", "operators"), [(2, 2, 1), (3, 2, 3), (2, 4, 3)])
def test_pools(side: int, stride: int, operators: int) -> None:
    """The last one's windows would fit, but rows remain below them."""
    g, x, several = _images(3)
    opts = options("Pool2DOptions", padding=1, strideH=stride, strideW=stride,
                   filterHeight=side, filterWidth=side)  # fmt: skip
    windows = np.lib.stride_tricks.sliding_window_view(g.value(several), (side, side), (1, 2))
    value = windows[:, ::stride, ::stride].max((-1, -2))
    y = g.op("MAX_POOL_2D", [several], value, like=several, **opts)
    assert opcodes(rewritten(g, y, by="batched_images").graph).count("MAX_POOL_2D") == operators
    equal_everywhere(g, x, y)


def test_resized() -> None:
    g, x, several = _images(2)
    opts = options("ResizeNearestNeighborOptions")
    value = g.value(several).repeat(2, 1).repeat(2, 2)
    y = g.op("RESIZE_NEAREST_NEIGHBOR", [several, g.indices(12, 10)], value, like=several, **opts)
    assert "RESIZE_NEAREST_NEIGHBOR" in opcodes(rewritten(g, y, by="batched_images").graph)
    equal_everywhere(g, x, y)
