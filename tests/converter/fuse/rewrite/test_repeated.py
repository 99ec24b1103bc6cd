# SPDX-License-Identifier: Apache-2.0
"""TILE and wide slices in operators that TFLM has compute the same integers there."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse.rewrite import normalize
from converter.runtimes import open_runtime
from converter.tflite import Model, serialize
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rule


@settings(max_examples=10, deadline=None)
@given(
    axes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_tile_is_broadcast_to(axes: list[tuple[int, int]], seed: int) -> None:
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, tuple(size for size, _ in axes)))
    y = g.tile(x, tuple(times for _, times in axes))
    graph = normalize(graph_of(g, y), [rule("repeated")]).graph
    split = sum(size > 1 and times > 1 for size, times in axes)
    if len(axes) + split > 5:
        assert opcodes(graph) == ["TILE"]
        return
    assert set(opcodes(graph)) <= {"RESHAPE", "BROADCAST_TO"}
    want = np.tile(g.quantized(x), tuple(times for _, times in axes))
    got = open_runtime("tflm", serialize(Model(graph))).run(g.quantized(x))[0]
    np.testing.assert_array_equal(got, want)


def test_strided_slice_of_five_dimensions() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (2, 1, 4, 4, 3)))
    ends = [g.indices(*v) for v in ((1, 0, 0, 0, 0), (2, 1, 4, 4, 3), (1, 1, 1, 1, 1))]
    shrink = options("StridedSliceOptions", shrinkAxisMask=1)
    y = g.op("STRIDED_SLICE", [x, *ends], g.value(x)[1], like=x, **shrink)
    graph = normalize(graph_of(g, y), [rule("plumbing")]).graph
    assert opcodes(graph) == ["SLICE", "RESHAPE"]
    got = open_runtime("tflm", serialize(Model(graph))).run(g.quantized(x))[0]
    np.testing.assert_array_equal(got, g.quantized(x)[1])
