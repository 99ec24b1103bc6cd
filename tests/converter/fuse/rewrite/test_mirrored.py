# SPDX-License-Identifier: Apache-2.0
"""Mirrored edges and reversed axes are the same integers in every runtime."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import equal_everywhere, opcodes, rewritten

_SHAPE = (1, 6, 5, 3)


def _graph(seed: int) -> tuple[PlainGraph, int]:
    g = PlainGraph(np.random.default_rng(seed))
    return g, g.input(g.rng.normal(0, 1, _SHAPE))


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
@pytest.mark.parametrize(
    "pads", [((0, 0), (2, 1), (0, 3), (0, 0)), ((0, 0), (5, 0), (0, 0), (1, 2))]
)
def test_mirrored_edges(
    mode: Literal["reflect", "symmetric"], pads: tuple[tuple[int, int], ...]
) -> None:
    g, x = _graph(1)
    wanted = g.indices(*np.array(pads).reshape(-1))
    data = np.array(pads, np.int32)
    g.tensors[wanted] = dataclasses.replace(g.tensors[wanted], shape=data.shape, data=data)
    opts = options("MirrorPadOptions", mode=int(mode == "symmetric"))
    y = g.op("MIRROR_PAD", [x, wanted], np.pad(g.value(x), pads, mode), like=x, **opts)
    assert set(opcodes(rewritten(g, y, by="mirrored").graph)) == {"GATHER"}
    equal_everywhere(g, x, y)


@settings(max_examples=6, deadline=None)
@given(first=st.integers(1, 3), count=st.integers(1, 3), seed=st.integers(0, 99))
def test_reversed_axes(first: int, count: int, seed: int) -> None:
    """LiteRT takes neighbouring axes alone."""
    axes = tuple(range(first, min(first + count, 4)))
    g, x = _graph(seed)
    value = np.flip(g.value(x), axes)
    y = g.op("REVERSE_V2", [x, g.indices(*axes)], value, like=x, **options("ReverseV2Options"))
    assert opcodes(rewritten(g, y, by="mirrored").graph) == ["GATHER"] * len(axes)
    equal_everywhere(g, x, y)
