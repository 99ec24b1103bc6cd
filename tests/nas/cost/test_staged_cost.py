# SPDX-License-Identifier: Apache-2.0
"""Networks of stages and of relative position cost what planner, linker and emulator say."""

import pytest
from hypothesis import given, settings

from converter import schedule
from converter.plan import plan_graph
from converter.plan.weightless import weightless_graph
from keras_models.load import resolve_arch
from keras_models.parts import ArchError
from keras_models.staged import StagedConfig
from keras_models.stages import AttentionStage
from nas.cost.model import CostModel
from nas.cost.targets import Target
from tests.keras_models.staged_archs import staged_archs

# Of the converted networks with random weights (keras_models.vit.random_weights, seed 0), planned
# for the least arena: instructions of the emulated core of stm32f746g_disco (firmware.emulate).
COUNTED = {
    "test_stages": (6_928, 2_245_734),
    "test_windows": (3_472, 1_097_292),
    "test_relative": (2_128, 409_492),
    "hybrid_32": (57_344, 39_077_881),
}


@pytest.mark.parametrize("name", COUNTED)
def test_instructions_are_those_of_the_emulator(name):
    cost = CostModel(Target(), streamed=False).cost(resolve_arch(name))
    arena, instructions = COUNTED[name]
    assert cost.arena_bytes == arena
    assert cost.instructions == pytest.approx(instructions, rel=0.03)


@given(staged_archs())
@settings(max_examples=25, deadline=None)
def test_arena_and_schedules_equal_the_planners(arch):
    model = CostModel(Target(), streamed=True)
    graph, ops = weightless_graph(arch)
    cost, streamed = model.cost(arch), model.is_streamed(arch)
    first = arch.stages[0]
    assert streamed == (not arch.stem and first.of_tokens and first.down in ("patch", "conv"))
    stated, placed = plan_graph(graph, ops, streamed)
    assert placed.arena_bytes == (cost.arena_bytes,)
    operators = model.operators(arch)
    chosen = [op.best(max(op.good_bytes for op in operators)) for op in operators]
    fused = [c.instructions for c, op in zip(chosen, ops, strict=True) if op is not None]
    expected = [schedule.cost(op).instructions for op in stated.ops if op is not None]
    assert fused == pytest.approx(expected, rel=1e-12)


def test_patches_merged_over_tokens_move_what_comes_before():
    """The merged tokens begin before those that they overwrite, which so lie 16 bytes higher than
    an operator's own need has them; within less, smaller tiles are chosen as the planner does."""
    blocks = {"heads": (1,), "mlp_ratio": (1.0,), "window": 2}
    stages = (
        AttentionStage(width=3, head_dim=8, **blocks),
        AttentionStage(width=8, head_dim=4, down="patch", stride=2, **blocks),
    )
    arch = StagedConfig(image_size=16, num_classes=5, stages=stages)
    cost = CostModel(Target()).cost(arch)
    largest = max(op.good_bytes for op in CostModel(Target()).operators(arch))
    placed = plan_graph(*weightless_graph(arch))[1]
    assert (cost.arena_bytes,) == placed.arena_bytes == (largest + 16,)
    overhead = cost.sram_bytes - cost.arena_bytes
    assert CostModel(Target(sram_bytes=overhead + largest + 16)).cost(arch).fits
    less = CostModel(Target(sram_bytes=overhead + largest)).cost(arch)
    assert less.fits
    placed = plan_graph(*weightless_graph(arch), arena_budget=largest)[1]
    assert (less.arena_bytes,) == placed.arena_bytes
    assert less.instructions > cost.instructions


def test_relative_position_costs_time_and_flash():
    arch = resolve_arch("autoformer_t")
    model = CostModel(Target())
    cost, without = model.cost(arch), model.cost(arch.replace(relative_position=0))
    tables = 13 * 2 * 2 * (2 * 14 + 2) * 64
    assert cost.constant_bytes - without.constant_bytes == pytest.approx(tables, rel=0.02)
    assert cost.instructions > 1.02 * without.instructions
    placed = plan_graph(*weightless_graph(arch), True)[1]
    assert placed.arena_bytes == (cost.arena_bytes,)


def test_what_cannot_be_foreseen_is_refused():
    hybrid = resolve_arch("hybrid_32")
    with pytest.raises(ArchError, match="'hybrid_32' has stages, expected a residual stream of 8"):
        CostModel(Target(), residual_bits=16).cost(hybrid)
