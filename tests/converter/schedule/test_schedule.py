# SPDX-License-Identifier: Apache-2.0
"""Schedules: they fit, they are the best of those that fit, and they are valid."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter import schedule
from converter.plan.weightless import weightless_ops
from keras_models.arch import ArchConfig, BlockRanks
from keras_models.presets import PRESETS
from tflm_custom_ops.ops import Attention, LinearOp, Mlp, cost, operator_of
from tflm_custom_ops.ops.mlp.operator import hidden_tiles


def ops_of(arch, kind, bits=8):
    return [op for op in weightless_ops(arch, bits) if isinstance(op, kind)]


ATTENTION = ops_of(PRESETS["vit_t_240"], Attention)[0]
MLP = ops_of(PRESETS["vit_t_240"], Mlp)[0]


def test_tiles_are_whole_row_groups_and_each_saves_a_pass():
    tiles = tuple(cost.token_tiles(225))
    assert all(t % 2 == 0 for t in tiles)
    assert tiles[0] == 2
    assert tiles[-1] == 226
    assert 76 in tiles
    passes = [-(-225 // t) for t in tiles]
    assert len(set(passes)) == len(passes)


@given(st.integers(1, 700))
def test_every_number_of_passes_has_its_smallest_tile(tokens):
    tiles = tuple(cost.token_tiles(tokens))
    for wanted in range(2, -(-tokens // 2) * 2 + 1, 2):  # any tile a user could think of
        best = max(t for t in tiles if t <= wanted)
        assert -(-tokens // best) == -(-tokens // wanted)


def test_a_good_tile_reads_weights_as_often_as_one_of_16_tokens():
    assert cost.is_good_tile(14, 25)  # two passes, as with 16
    assert not cost.is_good_tile(12, 25)
    assert cost.is_good_tile(2, 2)
    assert all(cost.is_good_tile(16, tokens) for tokens in (1, 16, 17, 225))
    assert not cost.is_good_tile(14, 225)


@given(st.integers(1, 4000))
def test_hidden_tiles_are_valid(hidden):
    for tile in hidden_tiles(hidden):
        assert 1 <= tile <= hidden
        assert tile == hidden or tile % 4 == 0


@pytest.mark.parametrize("op", [ATTENTION, MLP], ids=["attention", "mlp"])
def test_more_scratch_never_costs_more_cycles(op):
    least = min(c.cost.scratch_bytes for c in schedule.candidates(op))
    costs = []
    for budget in range(least, 450_000, 7001):
        chosen = schedule.schedule_op(op, budget)
        assert operator_of(chosen).scratch_bytes <= budget
        costs.append(schedule.cost(chosen))
    cycles = [c.effort for c in costs]
    assert cycles == sorted(cycles, reverse=True)
    assert costs[0].weight_bytes > 4 * costs[-1].weight_bytes


def test_without_a_budget_the_tile_is_good_and_the_scratch_least():
    chosen = schedule.schedule_op(ATTENTION)
    assert schedule.has_good_tile(chosen)
    good = [c for c in schedule.candidates(ATTENTION) if schedule.has_good_tile(c.op)]
    assert operator_of(chosen).scratch_bytes == min(c.cost.scratch_bytes for c in good)


def test_enough_memory_gives_all_heads_and_one_pass():
    chosen = schedule.schedule_op(ATTENTION, 10**7)
    assert (chosen.token_tile, chosen.heads_at_a_time) == (226, 3)
    chosen = schedule.schedule_op(MLP, 10**7)
    # The cores take 48 rows at a time: more would read the weights as often, in more scratch.
    assert (chosen.token_tile, chosen.hidden_tile) == (46, 768)


def test_of_as_many_instructions_fewer_weights_are_less_effort():
    more, fewer = (schedule.Cost(64, weights, 1000.0) for weights in (200, 100))
    assert fewer.effort < more.effort
    assert schedule.Cost(64, 0, 1000.0).effort == 1000.0
    best = min((schedule.Candidate(MLP, c) for c in (more, fewer)), key=lambda c: c.rank)
    assert best.cost is fewer


def test_too_small_a_budget_says_both_figures():
    least = min(c.cost.scratch_bytes for c in schedule.candidates(MLP))
    with pytest.raises(schedule.ScheduleError, match=f"{least} bytes.*, {least - 1} are left"):
        schedule.schedule_op(MLP, least - 1)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_choice_is_the_best_of_those_that_fit(data):
    dim, heads = data.draw(st.integers(4, 200)), data.draw(st.integers(1, 6))
    rank = data.draw(st.sampled_from([0, 0, 3, 4]))
    arch = ArchConfig.uniform(
        depth=1, heads=heads, embed_dim=dim, head_dim=data.draw(st.integers(4, 64)),
        image_size=96, patch_size=data.draw(st.sampled_from([8, 16, 32])), mlp_ratio=2.0,
        ranks=BlockRanks(rank, rank, rank, rank), num_classes=10,
    )  # fmt: skip
    for op in weightless_ops(arch, data.draw(st.sampled_from([8, 16]))):
        found = schedule.candidates(op)
        budget = data.draw(st.integers(0, 2 * max(c.cost.scratch_bytes for c in found) + 1))
        fitting = [c for c in found if c.cost.scratch_bytes <= budget]
        if not fitting:
            with pytest.raises(schedule.ScheduleError):
                schedule.schedule_op(op, budget)
            continue
        chosen = schedule.cost(schedule.schedule_op(op, budget))
        assert chosen.scratch_bytes <= budget
        assert chosen.effort == pytest.approx(min(c.cost.effort for c in fitting), rel=1e-3)
        if isinstance(op, Attention | Mlp | LinearOp):
            assert all(c.op.token_tile % 2 == 0 for c in found)


# Instructions that the emulated Cortex-M7 counted in a block of vit_t_240 (operator, tiles, count).
MEASURED = [
    (ATTENTION, {"token_tile": 16, "heads_at_a_time": 1}, 37_915_768),
    (ATTENTION, {"token_tile": 48, "heads_at_a_time": 1}, 36_249_687),
    (ATTENTION, {"token_tile": 4, "heads_at_a_time": 1}, 46_599_790),
    (ATTENTION, {"token_tile": 2, "heads_at_a_time": 1}, 53_127_428),
    (ATTENTION, {"token_tile": 46, "heads_at_a_time": 1}, 36_341_374),
    (ATTENTION, {"token_tile": 6, "heads_at_a_time": 3}, 42_116_610),
    (ATTENTION, {"token_tile": 24, "heads_at_a_time": 3}, 35_530_616),
    (ATTENTION, {"token_tile": 46, "heads_at_a_time": 3}, 34_959_793),
    (MLP, {"token_tile": 48, "hidden_tile": 768}, 35_346_451),
    (MLP, {"token_tile": 38, "hidden_tile": 768}, 35_546_326),
    (MLP, {"token_tile": 12, "hidden_tile": 768}, 38_144_701),
    (MLP, {"token_tile": 4, "hidden_tile": 768}, 45_739_951),
    (MLP, {"token_tile": 2, "hidden_tile": 768}, 56_932_951),
    (MLP, {"token_tile": 58, "hidden_tile": 192}, 38_607_769),
    (MLP, {"token_tile": 48, "hidden_tile": 96}, 39_766_657),
]


def test_estimates_are_the_emulators_counts():
    for op, tiles, count in MEASURED:
        estimate = schedule.cost(dataclasses.replace(op, **tiles)).instructions
        assert estimate == pytest.approx(count, rel=0.01), tiles


def test_products_of_the_benchmark_network_add_up():
    arch = PRESETS["vit_t_240"]
    assert sum(schedule.macs(op) for op in weightless_ops(arch)) == arch.macs


def test_products_of_a_low_rank_network_add_up():
    arch = PRESETS["test_lowrank"]
    assert sum(schedule.macs(op) for op in weightless_ops(arch)) == arch.macs
