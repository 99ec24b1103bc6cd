# SPDX-License-Identifier: Apache-2.0
"""Much-used buffers lie low: never a larger arena, never an unsafe plan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards import get_board
from converter.plan import heuristic, plan_graph, plan_model
from converter.plan.accesses import access_bytes
from converter.plan.arrange import arranged, height
from converter.plan.lifetimes import STRIP_ID, scratch_id, tensor_id
from converter.plan.problem import Buffer, Overwrite, Problem
from converter.plan.validate import validate
from converter.plan.weightless import weightless_graph
from converter.runtimes import open_runtime
from keras_models.presets import PRESETS
from tests.converter.compile import fused_models
from tests.converter.plan.plan_problems import random_problem
from tests.converter.runtimes.edges import random_array
from tflm_custom_ops.ops import operator_of


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 20), st.randoms(use_true_random=False))
def test_no_plan_grows_or_breaks(seed, random):
    problem = random_problem(seed)
    placement = heuristic.search(problem, iterations=20)
    accesses = {b.id: random.choice([0, 1, 10, 1000]) * b.size_bytes for b in problem.buffers}
    found = arranged(problem, placement, accesses)
    validate(problem, found.offsets)
    assert found.arena_bytes == placement.arena_bytes
    assert height(problem, found.offsets, accesses) <= height(problem, placement.offsets, accesses)


def test_the_most_used_is_first():
    buffers = (Buffer("tokens", 64, 0, 3), Buffer("a", 128, 0, 1), Buffer("b", 96, 1, 3))
    problem = Problem(buffers)
    placement = heuristic.search(problem)
    hot = arranged(problem, placement, {"tokens": 64, "a": 1000, "b": 900})
    assert hot.offsets == (128, 0, 0)
    cold = arranged(problem, placement, {"tokens": 6400, "a": 1000, "b": 900})
    assert cold.offsets == (0, 64, 64)


def test_an_overwritten_buffer_moves_with_the_one_over_it():
    buffers = (Buffer("x", 64, 0, 2), Buffer("y", 64, 1, 3), Buffer("s", 32, 1, 2))
    problem = Problem(buffers, (Overwrite("x", "y"),))
    placement = heuristic.search(problem)
    assert placement.arena_bytes == (96,)
    assert arranged(problem, placement, {"x": 64, "y": 64, "s": 999}).offsets == (32, 32, 0)


@pytest.mark.parametrize("streamed", [True, False])
def test_scratch_of_a_network_lies_where_the_board_is_fast(streamed):
    """Under the tokens, which are read a few times; not where the image has to lie over them."""
    stated, placement = plan_graph(*weightless_graph(PRESETS["vit_t_240"], 8), streamed)
    at = dict(zip((b.id for b in stated.problem.buffers), placement.offsets, strict=True))
    tokens = tensor_id(stated.graph.operators[0].outputs[0])
    if not streamed:
        # The first MLP has room for two of them; the scratch of all that follows is first.
        assert at[tokens] == at[tensor_id(stated.graph.operators[1].outputs[0])] == 0
        moved = [at[tensor_id(op.outputs[0])] for op in stated.graph.operators[2:25]]
        assert set(moved) == {placement.arena_bytes[0] - 43_200}
        assert {at[scratch_id(i)] for i in range(3, 25)} == {0}
        return
    attention = operator_of(stated.ops[1])
    assert (at[scratch_id(1)], at[tokens]) == (0, attention.scratch_bytes)
    # What is used most of it fits into DTCM: keys, values and the tile; the context is behind.
    board = get_board("stm32f746g_disco")
    room = board.region("SRAM").tightly_coupled_bytes - board.stack_bytes
    context = attention.params.tokens * 2 * attention.params.head_dim
    assert attention.scratch_bytes - context < room < attention.scratch_bytes


@pytest.mark.parametrize(("dim", "moves"), [(12, 2), (24, 1)])
def test_tokens_leave_a_resident_image(dim, moves):
    """At the first operator with room for its input and its output; the result is the same."""
    image = fused_models.ImageShape(64, 64, 3, 8, 8)
    planned = plan_model(fused_models.model_bytes(fused_models.vit_ops(image=image, dim=dim)))
    spans = [planned.plan.tensors[op.outputs[0]] for op in planned.model_problem.graph.operators]
    end = planned.plan.arena_bytes - spans[0].size_bytes
    assert [span.offset for span in spans[:5]] == [0] * moves + [end] * (5 - moves)
    assert planned.placement.optimal
    host, reference = (open_runtime(name, planned.model_bytes) for name in ("host", "reference"))
    stack = random_array(np.random.default_rng(1), (3, 1, 64, 64, 3), np.int8)
    np.testing.assert_array_equal(host.run_batch(stack)[0], reference.run_batch(stack)[0])


def test_nothing_moves_to_where_something_is():
    """The scratch of the step leaves no second place for the tokens until the last one."""
    buffers = (
        Buffer("image", 1024, 0, 2), Buffer("x", 64, 1, 3), Buffer("y", 64, 2, 4),
        Buffer("z", 64, 3, 5), Buffer("s", 960, 2, 3), Buffer("r", 896, 3, 4),
        Buffer("q", 800, 4, 5),
    )  # fmt: skip
    same = (Overwrite("x", "y"), Overwrite("y", "z"))
    problem = Problem(buffers, (Overwrite("image", "x", 0), *same))
    placement = heuristic.search(problem)
    assert placement.arena_bytes == (1024,)
    accesses = {"x": 64, "y": 64, "z": 64, "s": 9e4, "r": 9e4, "q": 9e6}
    found = dict(zip(problem.index, arranged(problem, placement, accesses).offsets, strict=True))
    assert (found["x"], found["y"], found["z"]) == (0, 0, 960)
    assert (found["s"], found["r"], found["q"]) == (64, 64, 0)


def test_accesses_are_those_of_the_schedule():
    """More passes over a tile's rows are more accesses; the strip is read, not the image."""
    for name in ("vit_digits", "vit_t_240"):
        stated, _ = plan_graph(*weightless_graph(PRESETS[name], 8), True)
        accesses = access_bytes(stated)
        assert accesses.keys() == {b.id for b in stated.problem.buffers}
        assert min(accesses.values()) > 0
        image = stated.graph.tensors[stated.graph.inputs[0]].nbytes
        assert image <= accesses[STRIP_ID] <= 2 * image  # whole groups of rows
        # Per operator: each product loads an activation and weights that serve four channels.
        for i, op in enumerate(stated.ops):
            operator = operator_of(op)
            if operator.macs and operator.scratch_bytes:
                assert 1 < accesses[scratch_id(i)] / operator.macs < 6
