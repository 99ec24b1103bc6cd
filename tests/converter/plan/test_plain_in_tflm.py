# SPDX-License-Identifier: Apache-2.0
"""Plain graphs in TFLM: overwriting in place leaves the output as it was, and saves memory."""

import numpy as np
import pytest

from converter.plan import in_place, plan_model
from converter.runtimes.tflm.interpreter import TflmInterpreter
from tests.converter.fuse import blocks
from tests.converter.fuse.plain_graph import PlainGraph

SPELLINGS = {
    "packed": (blocks.AttentionSpelling(tokens=12), "quick"),
    "separate": (blocks.AttentionSpelling(tokens=12, packed=False, scale="scores"), "relu"),
    "low rank": (blocks.AttentionSpelling(tokens=9, rank=3, value_transposed=True), "sigmoid_form"),
}


def block(spelling, activation):
    """A transformer block as a model, with its quantized input."""
    g = PlainGraph(np.random.default_rng(2))
    x = blocks.token_input(g, spelling.tokens, spelling.embed_dim)
    y = blocks.mlp(g, blocks.attention(g, x, spelling), hidden=24, activation=activation)
    return g.finish(y), g.quantized(x)


@pytest.mark.parametrize("name", SPELLINGS)
def test_in_place_plans_keep_the_output(name):
    model, x = block(*SPELLINGS[name])
    planned = plan_model(model)
    overwritten = {
        planned.model_problem.graph.operators[step - 1].name for step in _overwriting_steps(planned)
    }
    assert {"ADD", "SOFTMAX"} <= overwritten
    tflm, own = TflmInterpreter(planned.model_bytes), TflmInterpreter(model)
    np.testing.assert_array_equal(tflm.invoke(x), own.invoke(x))
    assert tflm.arena_usage.head_bytes <= own.arena_usage.head_bytes


def _overwriting_steps(planned):
    problem = planned.model_problem.problem
    for o in problem.overwrites:
        before, after = problem.index[o.before], problem.index[o.after]
        if planned.placement.offsets[before] == planned.placement.offsets[after]:
            yield problem.buffers[after].lower


def test_an_operator_that_does_not_work_in_place_would_be_noticed(monkeypatch):
    """FULLY_CONNECTED over its own input gives other outputs: the comparison above can fail."""
    monkeypatch.setitem(in_place.BUILTIN_IN_PLACE, "FULLY_CONNECTED", (0,))
    g = PlainGraph(np.random.default_rng(2))
    x = blocks.token_input(g, 8, 16)
    y = x
    for _ in range(3):
        y = g.linear(y, 16)
    model, sample = g.finish(y), g.quantized(x)
    planned = plan_model(model)
    assert planned.plan.arena_bytes < 2 * 8 * 16
    wrong = TflmInterpreter(planned.model_bytes).invoke(sample)
    assert not np.array_equal(wrong, TflmInterpreter(model).invoke(sample))
