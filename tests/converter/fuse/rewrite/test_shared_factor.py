# SPDX-License-Identifier: Apache-2.0
"""The average of two heads: its factor goes into the heads."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import accuracy, opcodes, rewritten


def heads(divide: bool, factor: float) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(4))
    x = g.input(g.rng.normal(0, 1, (1, 6)))
    total = g.add(g.linear(x, 12), g.linear(x, 12, per_channel=False))
    if divide:
        c = g.constant(np.array([1 / factor]))
        y = g.op("DIV", [total, c], g.value(total) / g.value(c), **options("DivOptions"))
    else:
        y = g.mul(total, g.constant(np.array([factor])))
    return g, x, y


@pytest.mark.parametrize("divide", [False, True])
def test_factor_of_a_sum_is_folded_into_both_layers(divide: bool) -> None:
    g, x, y = heads(divide, 0.5)
    graph = rewritten(g, y, by="shared_factor").graph
    assert opcodes(graph) == ["FULLY_CONNECTED", "FULLY_CONNECTED", "MUL", "MUL", "ADD"]
    found = accuracy(g, x, y, "shared_factor")
    assert found.rewritten > found.plain - 0.5
    result = outcome(g, x, y)
    assert result.codes == {"VitLinear": 2}
    assert result.report.ops_after == 3
    assert result.fused_db > result.plain_db - 0.5


def test_other_sums_stay() -> None:
    g, _, y = heads(False, -0.5)
    assert "MUL" in opcodes(rewritten(g, y, by="shared_factor").graph)[-1]
    g = PlainGraph(np.random.default_rng(4))
    x = g.input(g.rng.normal(0, 1, (1, 6)))
    y = g.mul(g.add(g.linear(x, 6), x), g.constant(np.array([0.5])))
    assert opcodes(rewritten(g, y, by="shared_factor").graph) == ["FULLY_CONNECTED", "ADD", "MUL"]
