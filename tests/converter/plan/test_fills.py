# SPDX-License-Identifier: Apache-2.0
"""Line fills by formula, against the cache model that the emulator drives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from boards import get_board
from converter.plan import plan_model
from converter.plan.fills import ArenaMemory, arena_memory, buffer_fills, plan_fills, stream_fills
from firmware.emulator.emulator import Emulator
from firmware.model import build_model
from tests.converter.compile import fused_models
from tflm_custom_ops.ops import Attention
from tflm_custom_ops.ops.streams import Stream

F746 = get_board("stm32f746g_disco")
CACHE = F746.core.data_cache
SRAM = F746.region("SRAM")


def test_only_what_is_behind_the_cache_is_fetched():
    memory = ArenaMemory(SRAM, 10_000, CACHE)
    stream = Stream(1_000, 8_000, times=3, passes=5)
    assert stream_fills([stream], 0, memory) == 0  # ends before the tightly coupled bytes do
    assert stream_fills([stream], 10_000, memory) == 8_000 / 32 * 15
    assert stream_fills([stream], 4_000, memory) == 3_000 / 32 * 15
    # 1,000 bytes stay in 4 KB from pass to pass.
    assert stream_fills([stream], 2_000, memory) == 1_000 / 32 * 3
    assert buffer_fills(9_000, 2_000, 6_000, memory) == 3_000 / 32
    none = ArenaMemory(SRAM, 0, None)
    assert stream_fills([stream], 0, none) == buffer_fills(0, 64, 64, none) == 0


def test_an_arena_begins_behind_stack_and_data():
    memory = arena_memory(F746, stack_bytes=4096, data_bytes=1000, arena_bytes=200_000)
    assert (memory.region, memory.fast_bytes) == (SRAM, 65536 - 4096 - 1024)
    openmv = get_board("openmv_cam_m4")
    assert arena_memory(openmv, stack_bytes=4096, data_bytes=1000, arena_bytes=99).cache is None


def test_an_arena_lies_in_dtcm_where_that_holds_it():
    """Beside stack and data, with 8 KB for the application."""
    board, sizes = get_board("nucleo_h743zi2"), {"stack_bytes": 8192, "data_bytes": 1024}
    room = 131072 - 8192 - 1024 - 8192
    fast = arena_memory(board, **sizes, arena_bytes=room)
    assert (fast.region.name, fast.slow_bytes(0, room)) == ("DTCM", 0)
    slow = arena_memory(board, **sizes, arena_bytes=room + 1)
    assert (slow.region.name, slow.fast_bytes) == ("AXI_SRAM", 0)


def test_formula_and_cache_model_agree(tmp_path):
    """A network whose tiles do not fit into the cache, on an F746 without its DTCM."""
    regions = tuple(
        dataclasses.replace(r, tightly_coupled_bytes=0) if r is SRAM or r == SRAM else r
        for r in F746.regions
    )
    board = dataclasses.replace(F746, regions=regions)
    image = fused_models.ImageShape(height=64, width=48)
    planned = plan_model(fused_models.model_bytes(fused_models.vit_ops(image=image, bits=16)))
    elf = tmp_path / "firmware.elf"
    build_model(planned.model_bytes, board, elf, weights_in="internal")
    emulator = Emulator(board, elf)
    cache = emulator.watch_cache()
    shape = emulator.model.image_shape
    emulator.classify(np.random.default_rng(1).integers(-128, 128, shape, np.int8))
    memory = ArenaMemory(board.region("SRAM"), 0, CACHE)
    offsets = planned.placement.offsets
    told = plan_fills(planned.model_problem, offsets, memory)
    counted = [cache.accesses(i)["SRAM"].fills for i in range(len(told))]
    assert sum(told) == pytest.approx(sum(counted), rel=0.2)
    for op, estimate, count in zip(planned.model_problem.ops, told, counted, strict=True):
        if count > 500:
            assert estimate == pytest.approx(count, rel=0.25), type(op).__name__
    assert any(isinstance(op, Attention) for op in planned.model_problem.ops)
