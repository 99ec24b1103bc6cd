# SPDX-License-Identifier: Apache-2.0
"""Search and benchmark estimate the same time for the same network."""

import json
from pathlib import Path

import pytest

from benchmarks.latency import _KERNEL_OF
from boards import board_names, get_board
from converter.latency import cycles_per_instruction
from keras_models.presets import PRESETS
from nas.cost.model import CostModel
from nas.cost.targets import Target
from tflm_custom_ops.ops import OPERATORS

RECORD = json.loads((Path(__file__).parents[2] / "docs" / "results" / "bench.json").read_text())
BOARD = get_board("stm32f746g_disco")


@pytest.mark.parametrize("operator", _KERNEL_OF, ids=lambda c: c.__name__)
def test_cycles_per_instruction_are_the_record(operator):
    kernel = RECORD["kernels"][_KERNEL_OF[operator]]
    measured = kernel["cycles_estimate"] / kernel["instructions"]
    name = next(o.CODE for o in OPERATORS if o.PARAMS is operator)
    assert cycles_per_instruction("cortex-m7", name) == pytest.approx(measured, abs=6e-4)
    assert cycles_per_instruction("cortex-m4", name) == 1.0


@pytest.mark.parametrize(
    ("network", "external", "within"),
    [("vit_t_240", True, 0.03), ("mcuformer_t_max", True, 0.05), ("vit_micro_32", False, 0.06)],
)
def test_the_search_says_what_the_benchmark_says(network, external, within):
    """As near as the estimated instructions are to the counted ones; traffic costs the same."""
    arch = PRESETS[network]
    estimate = RECORD["networks"][network]["int8"]["latency_estimate"]
    # As the benchmark plans: no more memory than good tiles need.
    target = Target(flash_bytes=1 << 20, external_flash_bytes=1 << 24)
    cost = CostModel(target).cost(arch)
    assert target.weights_region(external) in BOARD.regions
    assert target.core_hz == BOARD.clock.system_hz
    recorded = estimate["qspi_ms" if external else "flash_ms"]
    assert cost.latency_ms == pytest.approx(recorded, rel=within)
    reading = estimate["qspi_ms"] - estimate["compute_ms"]
    expected = BOARD.external_flash().read_milliseconds(estimate["weight_bytes_read"])
    assert reading == pytest.approx(expected, abs=0.11)


def test_speeds_are_said_once():
    """No file beside boards/ has a board's memory speed or size."""
    for name in board_names():
        for region in get_board(name).regions:
            assert region.read_megabytes_per_second > 0
    assert BOARD.external_flash().cycles_per_byte(BOARD.clock.system_hz) == pytest.approx(6.0)
