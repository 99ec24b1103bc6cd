# SPDX-License-Identifier: Apache-2.0
"""SELECT as SELECT_V2 where both say the same, and then in every runtime; else left as it is."""

from __future__ import annotations

import numpy as np

from converter.fuse import fuse_model
from converter.fuse.op_semantics import evaluate
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import GraphView
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten


def chosen(condition_axes: int) -> tuple[PlainGraph, int, int]:
    """x where a condition of that many leading axes is true, else x transposed."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (4, 6, 4)))
    shape = (4, 6, 4)[:condition_axes]
    where = np.arange(np.prod(shape)).reshape(shape) % 3 > 0
    other = g.transpose(x, 2, 1, 0)
    spread = where.reshape(shape + (1,) * (3 - condition_axes))
    value = np.where(spread, g.value(x), g.value(other))
    return g, x, g.op("SELECT", [g.condition(where), x, other], value, like=x)


def test_of_one_shape_it_runs_everywhere() -> None:
    g, x, y = chosen(3)
    assert opcodes(rewritten(g, y, by="select_of_one_shape").graph) == ["TRANSPOSE", "SELECT_V2"]
    fused = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    want = open_runtime("reference", fused).run(g.quantized(x))[0]
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused).run(g.quantized(x))[0], want, name)


def test_a_condition_of_the_outermost_axis_stays() -> None:
    g, _, y = chosen(1)
    assert opcodes(rewritten(g, y, by="select_of_one_shape").graph) == ["TRANSPOSE", "SELECT"]


def test_it_chooses_whole_outermost_parts() -> None:
    """As NumPy broadcasts it, it would choose along the last axis, which is as long."""
    g, x, y = chosen(1)
    view = GraphView(graph_of(g, y))
    got = evaluate(view, [0, 1], {x: g.value(x)}, y)
    np.testing.assert_array_equal(got, g.value(y))
