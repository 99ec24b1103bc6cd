# SPDX-License-Identifier: Apache-2.0
"""PRELU in parts: near to the real values, for slopes of either sign, in every runtime."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import accuracy, opcodes, rewritten


def prelu(slopes: tuple[float, ...]) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 12, 12, len(slopes))))
    a = g.constant(np.array(slopes).reshape(1, 1, -1))
    value = np.where(g.value(x) >= 0, g.value(x), g.value(a) * g.value(x))
    return g, x, g.op("PRELU", [x, a], value)


@pytest.mark.parametrize("slopes", [(0.25, 0.1, 0.02), (0.3, -0.2, 0.0), (-0.5, -0.5, -0.1)])
def test_it_is_as_near_as_the_operator(slopes: tuple[float, ...]) -> None:
    g, x, y = prelu(slopes)
    assert opcodes(rewritten(g, y, by="slopes").graph) == ["MAXIMUM", "MINIMUM", "MUL", "ADD"]
    both = accuracy(g, x, y, by="slopes")
    assert both.rewritten > both.plain - 3
    fused = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    want = open_runtime("reference", fused).run(g.quantized(x))[0]
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused).run(g.quantized(x))[0], want, name)


def test_without_a_slope_it_stays() -> None:
    g, _, y = prelu((0.0, 0.0))
    assert opcodes(rewritten(g, y, by="slopes").graph) == ["PRELU"]
