# SPDX-License-Identifier: Apache-2.0
"""The cost of a network equals what scheduler, planner and fuser find; limits are limits."""

import dataclasses
import time

import numpy as np
import pytest

from boards import Use, board_names, get_board
from converter import footprint, schedule, tflite
from converter.code_size import ModelCall
from converter.compile.weights import stored_bytes
from converter.fuse import fuse_model
from converter.inspect.report import inspect_model
from converter.plan import OverBudgetError, plan_graph, plan_model
from converter.plan.weightless import weightless_graph
from converter.quantize.ptq import quantize
from keras_models.arch import ArchConfig, BlockRanks, StemLayer
from keras_models.vit import build_vit, random_weights
from nas.cost.model import CostModel
from nas.cost.targets import BudgetError, Firmware, Target
from nas.space import Patch, RankRule, SearchSpace
from nas.space.presets import SPACES
from tflm_custom_ops.ops import FusedOperator, operator_of

NINE = 9 * (ModelCall("VitMlp", ("vit_mlp",), "VitMlpParams"),)
REAL = SearchSpace(
    name="real",
    image_size=16,
    num_classes=7,
    patches=(Patch(4), Patch(6), Patch(2, (StemLayer(3, 2, 8, "relu", True),))),
    embed_dim=(24, 32),
    depth=(1, 2),
    heads=(1, 3),
    mlp_ratio=(1.5, 2.0),
    ranks=RankRule((0.25, 1.0)),
    head_dim=16,
)


def instructions(ops):
    return sum(schedule.cost(op).instructions for op in ops if op is not None)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("bits", [8, 16])
def test_arena_and_schedules_equal_the_planners(name, streamed, bits):
    space, rng = SPACES[name], np.random.default_rng(3)
    for _ in range(4):
        arch = space.arch(space.sample(rng))
        stream = streamed and not arch.stem
        cost = CostModel(Target(), streamed, bits).cost(arch)
        stated, placed = plan_graph(*weightless_graph(arch, bits), stream)
        assert placed.arena_bytes == (cost.arena_bytes,)
        if not arch.stem:
            assert cost.instructions == pytest.approx(instructions(stated.ops), rel=1e-12)


@pytest.mark.parametrize("layout", ["packed", "separate"])
def test_the_layout_of_attention_is_costed(layout):
    """Low-rank q, k and v share their first halves only where one layer makes all three."""
    arch = ArchConfig(
        name="low_rank", image_size=16, channels=3, num_classes=4, patch_size=4, embed_dim=24,
        heads=(2,), mlp_ratio=(2.0,), head_dim=12, ranks=(BlockRanks(qkv=8, proj=4),),
        attention=layout,
    )  # fmt: skip
    cost = CostModel(Target(), streamed=True).cost(arch)
    stated, placed = plan_graph(*weightless_graph(arch), True)
    assert placed.arena_bytes == (cost.arena_bytes,)
    assert cost.instructions == pytest.approx(instructions(stated.ops), rel=1e-12)
    assert cost.constant_bytes == sum(operator_of(op).constant_bytes for op in stated.ops)


@pytest.mark.parametrize("name", ["mcuformer_t", "mcu_32"])
def test_a_budget_gives_the_planners_schedules(name):
    space, rng = SPACES[name], np.random.default_rng(4)
    fitted = refused = 0
    for kib in (14, 18, 24, 56, 104, 150, 210):
        target = Target(sram_bytes=kib * 1024)
        for _ in range(4):
            config = space.sample(rng)
            arch = space.arch(dataclasses.replace(config, patch=space.patches[-1]))
            model = CostModel(target, True)
            cost = model.cost(arch)
            graph, ops = weightless_graph(arch)
            room = target.arena_bytes(model.firmware(model.operators(arch), arch))
            try:
                stated, placed = plan_graph(graph, ops, True, room)
            except OverBudgetError:
                assert cost.excess == ("SRAM",)
                assert np.isinf(cost.latency_ms)
                refused += 1
                continue
            assert cost.fits
            assert placed.arena_bytes == (cost.arena_bytes,)
            assert cost.instructions == pytest.approx(instructions(stated.ops), rel=1e-12)
            fitted += 1
    assert fitted >= 4
    assert refused >= 4


@pytest.mark.parametrize("patch", REAL.patches, ids=["patch", "padding", "stem"])
def test_converted_networks_cost_what_was_predicted(patch):
    rng = np.random.default_rng(5)
    arch = REAL.arch(dataclasses.replace(REAL.sample(rng), patch=patch))
    images = rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    plain = quantize(random_weights(build_vit(arch), 0), arch, images)
    fused = fuse_model(plain, residual_bits=8).model_bytes
    cost = CostModel(Target(), streamed=False).cost(arch)
    planned = plan_model(fused)
    assert planned.plan.arena_bytes == cost.arena_bytes
    operators = len(tflite.parse(planned.model_bytes).graph.operators)
    static = footprint.static_bytes(operators, 16 * 3, streamed=False)
    assert cost.sram_bytes == cost.arena_bytes + footprint.STACK_RESERVED_BYTES + static
    # Equal arrays of a stem's convolutions (shifts of 0) stand in the image once.
    constants = inspect_model(planned.model_bytes).constant_bytes
    shifts = sum(stored_bytes(4 * layer.channels) for layer in arch.stem)
    assert cost.constant_bytes - shifts <= constants <= cost.constant_bytes
    if not patch.stem:
        cost = CostModel(Target(), streamed=True).cost(arch)
        arena = plan_model(fused, streamed=True).plan.arena_bytes
        assert arena == cost.arena_bytes
        beside = footprint.STACK_RESERVED_BYTES + footprint.static_bytes(operators, 48, True)
        assert cost.sram_bytes == footprint.arena_bytes(arena, True) + beside


def test_speed_once_warm():
    space, rng = SPACES["mcuformer_t"], np.random.default_rng(6)
    model = CostModel(Target.of_board(get_board("stm32f746g_disco")))
    archs = [space.arch(space.sample(rng)) for _ in range(60)]
    for arch in archs:
        model.cost(arch)
    start = time.process_time()
    for arch in archs:
        model.cost(arch)
    assert len(archs) / (time.process_time() - start) >= 200


def test_only_the_schedules_of_a_network_are_asked_for_accesses(monkeypatch):
    """A block has hundreds of schedules; what each loads and stores takes as long as its cost."""
    asked, property_ = [], FusedOperator.accesses
    monkeypatch.setattr(
        FusedOperator, "accesses", property(lambda op: (asked.append(op), property_.fget(op))[1])
    )
    arch = ArchConfig.uniform(  # sizes of no other test, so that nothing is remembered
        image_size=112, patch_size=8, channels=3, num_classes=3, embed_dim=76, depth=2, heads=1,
        head_dim=20, mlp_ratio=2.25,
    )  # fmt: skip
    model = CostModel(Target.of_board(get_board("stm32f746g_disco")))
    model.cost(arch)
    operators = {type(op) for op in asked}
    assert len(asked) == len(operators) == 5
    model.cost(arch)
    assert len(asked) == 5


def test_limits():
    space = SPACES["mcu_32"]
    arch = space.arch(space.largest(space.patches[2]))
    free = CostModel(Target(), False).cost(arch)
    assert free.fits
    operators = 3 + 2 * arch.depth  # patch embedding, blocks, LayerNorm, classifier
    static = footprint.static_bytes(operators, 32 * 3, streamed=False)
    assert free.sram_bytes == free.arena_bytes + 4096 + static
    firmware = CostModel(Target(), False).firmware(CostModel(Target(), False).operators(arch), arch)
    assert len(firmware.calls) == operators
    assert free.flash_bytes == free.constant_bytes + Target().code_bytes(firmware)
    for limits, excess in (
        ({"flash_bytes": free.flash_bytes}, ()),
        ({"flash_bytes": free.flash_bytes - 1}, ("flash",)),
        ({"flash_bytes": 1, "external_flash_bytes": free.constant_bytes}, ()),
        ({"flash_bytes": 1, "external_flash_bytes": free.constant_bytes - 1}, ("flash",)),
        ({"latency_ms": free.latency_ms * 1.001}, ()),
        ({"latency_ms": free.latency_ms * 0.999}, ("latency",)),
        ({"sram_bytes": free.sram_bytes}, ()),
        ({"sram_bytes": 7000}, ("SRAM", "latency")),
    ):
        target = Target(**{"latency_ms": 1e9, **limits})
        assert CostModel(target, False).cost(arch).excess == excess
    assert CostModel(Target(sram_bytes=1), False).cost(arch).excess == ("SRAM",)


def test_external_flash_costs_cycles():
    arch = SPACES["mcu_32"].arch(SPACES["mcu_32"].smallest())
    internal = CostModel(Target()).cost(arch)
    external = CostModel(Target(external_flash_bytes=1 << 24)).cost(arch)
    assert external.latency_ms > internal.latency_ms
    assert external.flash_bytes == internal.constant_bytes


@pytest.mark.parametrize("name", board_names())
def test_a_target_is_what_the_board_says(name):
    board = get_board(name)
    target = Target.of_board(board)
    assert target.core_hz == board.clock.system_hz
    assert target.flash_bytes == board.place(Use.CODE).size_bytes
    assert target.stack_bytes == board.stack_bytes
    assert (target.external_flash_bytes is None) == (board.external_flash() is None)
    with pytest.raises(BudgetError, match="clock_hz"):
        Target(clock_hz=0)


def test_the_arena_has_one_region_of_a_board():
    """The board has 256 KB, of which the arena gets 192: the other 64 hold stack and data."""
    target = Target.of_board(get_board("openmv_cam_m4"))
    assert target.arena_bytes(Firmware(NINE, 96, streamed=False)) == 192 * 1024
    assert target.arena_bytes(Firmware(NINE, 96, streamed=True)) == 192 * 1024 - 16
    # What was said of a network of these figures when boards were one memory: it fits.
    assert Target(sram_bytes=256 * 1024).arena_bytes(Firmware(3 * NINE, 720, True)) > 232_192
    said = target.excess(Firmware(3 * NINE, 720, streamed=True), 232_192)
    assert said == "SRAM region SRAM by 35,600 bytes"
    # Less than the regions have is still a limit of everything together.
    less = dataclasses.replace(target, sram_bytes=64 * 1024)
    firmware = Firmware(NINE, 96, streamed=False)
    assert less.arena_bytes(firmware) == 64 * 1024 - less.overhead_bytes(firmware)


def test_a_network_is_refused_with_its_region():
    arch = ArchConfig.uniform(
        image_size=240, channels=3, num_classes=10, patch_size=10, embed_dim=352, depth=2, heads=1,
        mlp_ratio=1.0, head_dim=16,
    )  # fmt: skip
    smallest = max(op.smallest_bytes for op in CostModel(Target()).operators(arch))
    assert 192 * 1024 < smallest < 256 * 1024 - 8192
    assert CostModel(Target(sram_bytes=256 * 1024)).cost(arch).fits
    cost = CostModel(Target.of_board(get_board("openmv_cam_m4"))).cost(arch)
    excess = smallest + 16 - 192 * 1024
    assert cost.excess[0] == f"SRAM region SRAM by {excess:,} bytes"
    assert CostModel(Target.of_board(get_board("nucleo_h743zi2"))).cost(arch).fits


def test_weights_lie_where_the_firmware_puts_them():
    """On a board with both: internal flash where they fit, as firmware.export decides."""
    board = get_board("stm32f746g_disco")
    model = CostModel(Target.of_board(board))
    small = SPACES["mcu_32"].arch(SPACES["mcu_32"].smallest())
    large = SPACES["mcuformer_t"].arch(SPACES["mcuformer_t"].largest())
    assert model.cost(small).flash_bytes > model.cost(small).constant_bytes
    assert model.cost(large).flash_bytes == model.cost(large).constant_bytes
    only = dataclasses.replace(model, target=dataclasses.replace(model.target, flash_bytes=1))
    assert only.cost(small).flash_bytes == model.cost(small).constant_bytes
    assert only.cost(small).latency_ms > model.cost(small).latency_ms
