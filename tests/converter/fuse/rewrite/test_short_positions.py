# SPDX-License-Identifier: Apache-2.0
"""Constant positions of 64 bits are stored in 32, where they fit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.fuse.rewrite import normalize
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Graph, Model, serialize
from tests.converter.fuse.rewrite.checks import rule
from tests.converter.runtimes.edges import INT8, Edges

_X = np.arange(24, dtype=np.int8).reshape(1, 4, 6)
# Operator, its positions, options, what it makes of `_X`.
_CASES: tuple[tuple[str, tuple[Any, ...], str, np.ndarray], ...] = (
    ("GATHER", ([3, 0, 2],), "GatherOptions", _X[:, [3, 0, 2]]),
    ("GATHER_ND", ([[0, 3], [0, 1]],), "GatherNdOptions", _X[0, [3, 1]]),
    ("SLICE", ([0, 1, 2], [1, 2, 3]), "SliceOptions", _X[:, 1:3, 2:5]),
    (
        "PAD",
        ([[0, 0], [1, 0], [0, 2]],),
        "PadOptions",
        np.pad(_X, [[0, 0], [1, 0], [0, 2]], constant_values=INT8[1]),
    ),
    ("TILE", ([1, 2, 1],), "TileOptions", np.tile(_X, (1, 2, 1))),
    ("BROADCAST_TO", ([2, 4, 6],), "BroadcastToOptions", np.broadcast_to(_X, (2, 4, 6))),
    ("EXPAND_DIMS", (2,), "ExpandDimsOptions", _X[:, :, None]),
)


def _graph(opcode: str, positions: tuple[Any, ...], kind: str, want: np.ndarray) -> Graph:
    g = Edges()
    x = g.x(_X.shape, np.int8, INT8)
    places = [np.asarray(p, np.int64) for p in positions]
    operands = [g.tensor(p.shape, np.int64, None, p) for p in places]
    fields = {"axis": 1} if opcode == "GATHER" else {}
    y = g.op(opcode, (x, *operands), want.shape, np.int8, INT8, kind, **fields)
    if opcode == "BROADCAST_TO":
        g.operators[-1] = dataclasses.replace(g.operators[-1], version=2)
    return g.model(y).graph


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case[0])
def test_positions(case: tuple[Any, ...]) -> None:
    plain = _graph(*case)
    (op,) = normalize(plain, [rule("short_positions")]).graph.operators
    assert op.opcode == case[0]
    content = plan_model(fuse_model(serialize(Model(plain))).model_bytes).model_bytes
    for name in ("reference", "host", "tflm"):
        (got,) = open_runtime(name, content).run(_X)
        np.testing.assert_array_equal(got, case[-1], name)


def test_what_does_not_fit_stays() -> None:
    """Of a dimension that no file has: the rule does not ask the reader."""
    g = Edges()
    x = g.x((1, 4), np.int8, INT8)
    far = g.tensor((1,), np.int64, None, np.array([1 << 33], np.int64))
    graph = g.model(g.op("GATHER", (x, far), (1, 1), np.int8, INT8, "GatherOptions", axis=1)).graph
    assert normalize(graph, [rule("short_positions")]).graph is graph
