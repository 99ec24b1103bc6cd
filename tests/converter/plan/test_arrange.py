# SPDX-License-Identifier: Apache-2.0
"""Much-used buffers lie low: never a larger arena, never an unsafe plan."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards import get_board
from converter.plan import heuristic, plan_graph
from converter.plan.accesses import access_bytes
from converter.plan.arrange import arranged, height
from converter.plan.lifetimes import STRIP_ID, scratch_id, tensor_id
from converter.plan.problem import Buffer, Overwrite, Problem
from converter.plan.validate import validate
from converter.plan.weightless import weightless_graph
from keras_models.presets import PRESETS
from tests.converter.plan.plan_problems import random_problem
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
        assert at[tokens] == 0
        return
    attention = operator_of(stated.ops[1])
    assert (at[scratch_id(1)], at[tokens]) == (0, attention.scratch_bytes)
    # What is used most of it fits into DTCM: keys, values and the tile; the context is behind.
    board = get_board("stm32f746g_disco")
    room = board.region("SRAM").tightly_coupled_bytes - board.stack_bytes
    context = attention.params.tokens * 2 * attention.params.head_dim
    assert attention.scratch_bytes - context < room < attention.scratch_bytes


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
