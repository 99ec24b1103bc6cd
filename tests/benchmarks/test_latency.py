# SPDX-License-Identifier: Apache-2.0
"""Search and benchmark estimate the same time for the same network, and say that it is one."""

import json
from pathlib import Path

import pytest

from benchmarks.kernels.counts import measure_kernels
from benchmarks.latency import OTHER_CORES, core_table, instructions_on, table, with_formula
from boards import Use, board_names, get_board
from converter import schedule
from converter.latency import Reads, cycles_per_instruction, estimate
from converter.plan import plan_graph, plan_model
from converter.plan.weightless import fused_file, weightless_graph
from keras_models.presets import PRESETS
from nas.cost.model import CostModel
from nas.cost.targets import Target
from tests.commands import run_here
from tests.recorded_compiler import recorded_compiler_only

BOARD = get_board("stm32f746g_disco")
# The kernel measurement that stands for each kind of operator.
KERNEL_OF = {
    "VitAttention": "attention block, int8 stream",
    "VitMlp": "MLP block, int8 stream",
    "VitPatchEmbed": "patch embedding 240x240x3",
    "VitLayerNorm": "LayerNorm, int8",
    "VitLinear": "linear 46x192x192",
}


@pytest.fixture(scope="module")
def kernels():
    """The kernels that stand for an operator, as they are now, in the emulator."""
    return measure_kernels(set(KERNEL_OF.values()), m4=False)


def test_the_parts_of_attention_are_measured():
    """Beside whole operators the benchmark counts what they are made of."""
    names = "attention core, 225 tokens, head_dim 64", "softmax part of it"
    whole, part = measure_kernels(names, m4=False)
    assert whole.instructions > part.instructions > 0


@recorded_compiler_only()
def test_cycles_per_instruction_are_those_of_the_kernels(kernels):
    by_name = {kernel.name: kernel for kernel in kernels}
    for code, name in KERNEL_OF.items():
        kernel = by_name[name]
        measured = kernel.cycles_estimate / kernel.instructions
        assert cycles_per_instruction("cortex-m7", code) == pytest.approx(measured, abs=6e-4), name
        assert cycles_per_instruction("cortex-m4", code) == 1.0


@pytest.mark.parametrize(
    ("network", "external"), [("vit_t_240", True), ("vit_s_240", True), ("vit_digits", False)]
)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "resident"])
def test_the_search_says_what_the_benchmark_says(network, external, streamed):
    """For the same instructions: the same cycles, the same traffic, the same speed of memory, and
    the same place of each buffer. Resident, vit_t_240 moves its tokens and vit_s_240 cannot."""
    arch = PRESETS[network]
    # As the benchmark plans: no more memory than good tiles need.
    target = Target(flash_bytes=1 << 20, external_flash_bytes=1 << 24)
    assert target.weights_region(external) in BOARD.regions
    assert target.core_hz == BOARD.clock.system_hz
    planned = plan_graph(*weightless_graph(arch, 8), streamed)
    ops = planned[0].ops
    instructions = [schedule.cost(op).instructions for op in ops]
    model = CostModel(target, streamed)
    cost, firmware = model.cost(arch), model.firmware(model.operators(arch), arch)
    memory = target.arena_memory(firmware, cost.arena_bytes)
    memories = {True: BOARD.external_flash(), False: BOARD.place(Use.CODE)}
    told = with_formula(planned, instructions, BOARD, memories[external], memory)
    assert cost.latency_ms == pytest.approx(told.high_ms, rel=1e-3, abs=0.06)
    # Weights in the other memory would be another time.
    other = with_formula(planned, instructions, BOARD, memories[not external], memory)
    assert cost.latency_ms != pytest.approx(other.high_ms, rel=1e-2)


def test_speeds_are_said_once():
    """No file beside boards/ has a board's memory speed or size."""
    for name in board_names():
        for region in get_board(name).regions:
            assert region.read_megabytes_per_second > 0
    assert BOARD.external_flash().cycles_per_byte(BOARD.clock.system_hz) == pytest.approx(6.0)


def test_seeks_make_the_range():
    clock_hz, flash = BOARD.clock.system_hz, BOARD.external_flash()
    plain = estimate(216e6, clock_hz, [Reads(flash, 36e6)])
    assert (plain.low_ms, plain.high_ms) == pytest.approx((2000, 2000))
    assert str(plain) == "2,000 ms (estimate)"
    # 46 clocks of 72 MHz are 138 of 216 MHz.
    assert flash.seek_cycles(clock_hz) == pytest.approx(138)
    sought = estimate(216e6, clock_hz, [Reads(flash, 36e6, 216e6 / 138)])
    assert (sought.low_ms, sought.high_ms) == pytest.approx((2000, 3000))
    assert str(sought) == "2,000 to 3,000 ms (estimate)"


def test_what_does_not_fit_has_no_time():
    """Neither an infinite one, nor that of weights in a flash that is too small."""
    arch = PRESETS["vit_t_240"]
    for limits in ({"sram_bytes": 20_000}, {"flash_bytes": 1 << 20}):
        cost = CostModel(Target(**limits)).cost(arch)
        assert not cost.fits
        assert " ms" not in cost.describe()
    assert "ms (estimate)" in CostModel(Target(latency_ms=1.0)).cost(arch).describe()


@pytest.mark.parametrize(("rows", "page"), [(table, "memory.md"), (core_table, "kernels.md")])
def test_the_tables_are_the_record(rows, page):
    docs = Path(__file__).parents[2] / "docs"
    lines = "\n".join(rows(json.loads((docs / "results" / "latency.json").read_text())))
    assert lines in (docs / page).read_text(), lines


def test_other_cores_are_measured(tmp_path):
    """One block that stands for all: the same instructions as the whole network's operators."""
    arch = PRESETS["vit_digits"]
    planned = plan_model(fused_file(*weightless_graph(arch)), streamed=True)
    for core in OTHER_CORES:
        counts = instructions_on(core, planned.model_bytes, tmp_path / "firmware.elf")
        assert counts[1] == counts[3]
        assert counts[2] == counts[4]
        estimate_ = sum(schedule.cost(op).instructions for op in planned.model_problem.ops)
        assert sum(counts) == pytest.approx(estimate_, rel=0.03)


def test_a_network_of_stages_is_refused(tmp_path):
    """Of blocks that are alike one is run; stages have others between them."""
    done = run_here("benchmarks.latency", "--networks=test_stages", f"--out={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "'test_stages' has 5 stages, expected a network of one stage" in done.stderr
    assert not (tmp_path / "out").exists()
