# SPDX-License-Identifier: Apache-2.0
"""Whether a graph in normal form computes what it did, where results are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.fuse.gate.normal import _is_near
from converter.tflite import parse
from tests.converter.runtimes.edges import INT8, Edges


def test_an_average_of_nothing_leaves_rules_in_use() -> None:
    """0 / 0 in both graphs was blamed on every rule: masks of such networks were not mended."""
    g = Edges()
    shape = (1, 4)
    x = g.x(shape, np.int8, INT8)
    nothing = g.tensor((), np.int8, INT8, np.array(INT8[1], np.int8))
    zero = g.op("MUL", (x, nothing), shape, np.int8, INT8, "MulOptions")
    ratio = g.op("DIV", (zero, zero), shape, np.int8, INT8, "DivOptions")
    same = g.tensor((2,), np.int32, None, np.array(shape, np.int32))
    y = g.op("RESHAPE", (ratio, same), shape, np.int8, INT8, "ReshapeOptions")
    y = g.op("RELU", (y,), shape, np.int8, INT8)
    names = [op.name for op in parse(fuse_model(g.content(y)).model_bytes).graph.operators]
    assert "RESHAPE" not in names


@pytest.mark.parametrize(
    ("other", "near"),
    [
        ([1.0, np.nan, np.inf], True),
        ([1.0009, np.nan, np.inf], True),
        ([1.002, np.nan, np.inf], False),
        ([1.0, 0.0, np.inf], False),
        ([1.0, np.nan, -np.inf], False),
        ([np.nan, np.nan, np.inf], False),
    ],
)
def test_near(other: list[float], near: bool) -> None:
    assert _is_near(np.array([1.0, np.nan, np.inf]), np.array(other)) is near
