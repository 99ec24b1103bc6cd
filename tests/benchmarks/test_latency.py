# SPDX-License-Identifier: Apache-2.0
"""Search and benchmark estimate the same time for the same network."""

import pytest

from benchmarks.kernels.counts import measure_kernels
from benchmarks.latency import _KERNEL_OF, estimate
from boards import board_names, get_board
from converter import schedule
from converter.latency import cycles_per_instruction
from converter.plan import plan_graph
from converter.plan.weightless import weightless_graph
from keras_models.presets import PRESETS
from nas.cost.model import CostModel
from nas.cost.targets import Target
from tflm_custom_ops.ops import OPERATORS

BOARD = get_board("stm32f746g_disco")


@pytest.fixture(scope="module")
def kernels():
    """The kernels that stand for an operator, as they are now, in the emulator."""
    return measure_kernels(set(_KERNEL_OF.values()), m4=False)


def test_the_parts_of_attention_are_measured():
    """Beside whole operators the benchmark counts what they are made of."""
    names = "attention core, 225 tokens, head_dim 64", "softmax part of it"
    whole, part = measure_kernels(names, m4=False)
    assert whole.instructions > part.instructions > 0


def test_cycles_per_instruction_are_those_of_the_kernels(kernels):
    by_name = {kernel.name: kernel for kernel in kernels}
    for operator, name in _KERNEL_OF.items():
        kernel = by_name[name]
        code = next(o.CODE for o in OPERATORS if o.PARAMS is operator)
        measured = kernel.cycles_estimate / kernel.instructions
        assert cycles_per_instruction("cortex-m7", code) == pytest.approx(measured, abs=6e-4), name
        assert cycles_per_instruction("cortex-m4", code) == 1.0


@pytest.mark.parametrize(
    ("network", "external"), [("vit_t_240", True), ("vit_s_240", True), ("vit_digits", False)]
)
def test_the_search_says_what_the_benchmark_says(kernels, network, external):
    """For the same instructions: the same cycles, the same traffic, the same speed of memory."""
    arch = PRESETS[network]
    # As the benchmark plans: no more memory than good tiles need.
    target = Target(flash_bytes=1 << 20, external_flash_bytes=1 << 24)
    assert target.weights_region(external) in BOARD.regions
    assert target.core_hz == BOARD.clock.system_hz
    ops = plan_graph(*weightless_graph(arch, 8), True)[0].ops
    instructions = [schedule.cost(op).instructions for op in ops]
    told = estimate(ops, instructions, kernels, BOARD)
    expected = told.qspi_ms if external else told.flash_ms
    cost = CostModel(target).cost(arch)
    assert cost.latency_ms == pytest.approx(expected, rel=1e-3, abs=0.06)
    # Weights in the other memory would be another time.
    other = told.flash_ms if external else told.qspi_ms
    assert cost.latency_ms != pytest.approx(other, rel=1e-2)


def test_speeds_are_said_once():
    """No file beside boards/ has a board's memory speed or size."""
    for name in board_names():
        for region in get_board(name).regions:
            assert region.read_megabytes_per_second > 0
    assert BOARD.external_flash().cycles_per_byte(BOARD.clock.system_hz) == pytest.approx(6.0)
