# SPDX-License-Identifier: Apache-2.0
"""GATHER_ND as a GATHER of rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import equal_everywhere, opcodes, rewritten


def _graph(places: np.ndarray) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(2))
    x = g.input(g.rng.normal(0, 1, (1, 4, 5, 3)))
    wanted = g.indices(*places.reshape(-1))
    g.tensors[wanted] = dataclasses.replace(g.tensors[wanted], shape=places.shape, data=places)
    value = g.value(x)[tuple(np.moveaxis(places % 3, -1, 0))]
    y = g.op("GATHER_ND", [x, wanted], value, like=x, **options("GatherNdOptions"))
    return g, x, y


@pytest.mark.parametrize(
    "places",
    [
        [[0, 2], [0, 1]],
        [[0, 2, 1], [0, 0, 0], [0, 1, 2]],
        [[[0], [0]]],
        [[0, 1, 2, 0], [0, 2, 2, 2]],
    ],
)
def test_rows(places: list[list[int]]) -> None:
    g, x, y = _graph(np.array(places, np.int32))
    assert opcodes(rewritten(g, y, by="gather_nd").graph)[-1] == "GATHER"
    equal_everywhere(g, x, y)


def test_a_place_outside_stays() -> None:
    g, _, y = _graph(np.array([[0, 4]], np.int32))
    assert opcodes(rewritten(g, y, by="gather_nd").graph) == ["GATHER_ND"]
