# SPDX-License-Identifier: Apache-2.0
"""The weight traffic that a schedule claims is what the image reads from external flash."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from converter import schedule
from converter.plan import plan_model
from converter.plan.lifetimes import decoded
from firmware.boards import get_board
from firmware.elf import Elf
from firmware.emulator.emulator import Emulator
from firmware.model import build_model
from tests.converter.compile import fused_models
from tflm_custom_ops.options import Attention, Linear, LinearOp, Mlp, PatchEmbed, pack_dual_channel
from tflm_custom_ops.scratch import ROW_GROUP

BOARD = get_board("stm32f746g_disco")
PAGE = Path(__file__).parents[2] / "docs" / "compiled_runtime.md"


@dataclasses.dataclass(frozen=True)
class Passes:
    """A weight matrix, and how often the schedule reads it."""

    linear: Linear
    passes: int


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def matrices(op) -> list[Passes]:
    """The matrices of an operator with the passes of its schedule."""
    found = []

    def add(projection, rows, tile, rounds=1):
        passes = _ceil(rows, tile)
        found.append(Passes(projection.up, passes))
        if projection.down is not None:
            found.append(Passes(projection.down, passes + (rounds - 1) * _ceil(rows, tile)))

    if isinstance(op, PatchEmbed):
        patches = op.grid_height * op.grid_width
        found.append(Passes(op.linear, _ceil(patches, ROW_GROUP)))
    elif isinstance(op, Attention):
        add(op.q, op.tokens, op.token_tile)
        add(op.out, op.tokens, op.token_tile)
        for projection in (op.k, op.v):
            add(projection, op.tokens, schedule.key_value_rows(op))
    elif isinstance(op, Mlp):
        add(op.fc1, op.tokens, op.token_tile)
        add(op.fc2, op.tokens, op.token_tile)
    elif isinstance(op, LinearOp):
        add(op.projection, op.rows, op.token_tile)
    return found


def decoded_ops(model: bytes):
    from converter.tflite import parse

    graph = parse(model).graph
    return [decoded(graph, op) for op in graph.operators]


@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
@pytest.mark.parametrize("budget", [None, "least"])
@pytest.mark.parametrize("parameters", [{}, {"bits": 16, "rank": 4}], ids=["int8", "low-rank"])
def test_each_weight_is_read_once_per_tile(tmp_path, parameters, budget, streamed):
    image = fused_models.ImageShape(height=28, width=24)  # 42 patches, 6 in a row
    unplanned = fused_models.model_bytes(fused_models.vit_ops(image=image, dim=12, **parameters))
    sram = least_budget(unplanned, streamed) if budget else None
    model = plan_model(unplanned, streamed=streamed, sram_budget=sram).model_bytes
    elf = tmp_path / "firmware.elf"
    build_model(model, BOARD, elf, weights="qspi")
    emulator = Emulator(BOARD, elf)
    reads = emulator.watch_weights()
    shape = emulator.model.image_shape
    emulator.classify(np.random.default_rng(1).integers(-128, 128, shape, np.int8))
    weights = Elf(elf).address("vit_model_weights")
    content = emulator.machine.read(weights, len(reads))
    predicted, total = 0, 0
    for op in decoded_ops(model):
        for matrix in matrices(op):
            packed = pack_dual_channel(matrix.linear.weights).tobytes()
            assert content.count(packed) == 1
            place = slice(content.index(packed), content.index(packed) + len(packed))
            assert set(reads[place].tolist()) == {matrix.passes}, type(op).__name__
            total += int(reads[place].sum())
        predicted += schedule.cost(op).weight_bytes
    assert total == predicted
    # Biases, multipliers, tables and positions come on top: they are not weights.
    assert total <= int(reads.sum())


def least_budget(unplanned: bytes, streamed: bool) -> int:
    """The smallest arena that holds the model: small tiles, many passes."""
    low, high = 0, plan_model(unplanned, streamed=streamed).plan.arena_bytes
    while high - low > 16:
        middle = (low + high) // 32 * 16
        try:
            plan_model(unplanned, streamed=streamed, sram_budget=middle)
            high = middle
        except ValueError:
            low = middle
    return high
