# SPDX-License-Identifier: Apache-2.0
"""Reads of the weights that the image makes, byte by byte, against what the schedule claims."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from boards import get_board
from converter import schedule
from converter.plan import plan_graph
from converter.plan.weightless import weightless_graph
from firmware.emulator.emulator import Emulator
from firmware.errors import FirmwareError
from firmware.model import build_model
from keras_models.presets import PRESETS
from tests.converter.compile import fused_models
from tflm_custom_ops.ops import (
    Attention,
    Linear,
    LinearOp,
    Mlp,
    PatchEmbed,
    Projection,
    cost,
    operator_of,
    pack_dual_channel,
)
from tflm_custom_ops.ops.scratch import ROW_GROUP

BOARD = get_board("stm32f746g_disco")
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compiled_runtime.md"
# 72 patches, nine in a row.
IMAGE = fused_models.ImageShape(height=32, width=36)


def _kernel_constant(name: str) -> int:
    text = (ROOT / "tflm_custom_ops" / "kernels" / "vit_gemm_dsp.h").read_text()
    return int(re.search(rf"#define {name} (\d+)", text).group(1))


SLICE_ROWS = _kernel_constant("VIT_DSP_MAX_GROUPS") * ROW_GROUP


@dataclasses.dataclass(frozen=True)
class Reads:
    """A weight matrix, the rows that it is multiplied with, how many at a time, and how often."""

    linear: Linear
    rows: int
    tile: int
    times: int = 1

    def _tiles(self) -> list[int]:
        return [min(self.tile, self.rows - start) for start in range(0, self.rows, self.tile)]

    def slices(self) -> list[int]:
        """Rows of each call of the cores, which take no more than 48."""
        return [min(SLICE_ROWS, t - s) for t in self._tiles() for s in range(0, t, SLICE_ROWS)]

    def passes(self) -> int:
        """How often a weight is loaded: once a slice, whose core expands four channels first."""
        return self.times * len(self.slices())

    def loads(self) -> set[int]:
        """Loads of each weight: a last pair that has no other to make four is its own other one."""
        is_odd = -(-self.linear.out_features // 2) % 2
        return {self.passes(), 2 * self.passes()} if is_odd else {self.passes()}


def _of_projection(p: Projection, rows: int, tile: int) -> list[Reads]:
    halves = [p.up] if p.down is None else [p.up, p.down]
    return [Reads(half, rows, tile) for half in halves]


def matrices(op) -> list[Reads]:
    """The matrices of an operator under its schedule. One head at a time takes another part of q, k
    and v for each head; low-rank halves, which it repeats, are not in question here."""
    match op:
        case PatchEmbed():
            return [Reads(op.linear, op.grid_width, op.patch_tile, op.grid_height)]
        case Attention():
            keys = operator_of(op).key_value_rows
            tiles = ((op.q, op.token_tile), (op.out, op.token_tile), (op.k, keys), (op.v, keys))
            return [read for p, tile in tiles for read in _of_projection(p, op.tokens, tile)]
        case Mlp():
            both = (op.fc1, op.fc2)
            return [read for p in both for read in _of_projection(p, op.tokens, op.token_tile)]
        case LinearOp():
            return _of_projection(op.projection, op.rows, op.token_tile)
    return []


def ops_with(token_tile: int, heads_at_a_time: int, rank: int):
    """The operators of a small network with this schedule."""
    ops = []
    for op in fused_models.vit_ops(image=IMAGE, rank=rank):
        if isinstance(op, Attention):
            op = dataclasses.replace(op, heads_at_a_time=heads_at_a_time)
        if isinstance(op, Attention | Mlp):
            op = dataclasses.replace(op, token_tile=token_tile)
        ops.append(op)
    return ops


@dataclasses.dataclass(frozen=True)
class Traffic:
    """How often each byte of each matrix was loaded; bytes of all constants together."""

    loads: list[set[int]]
    all_bytes: int


def measure(ops, folder: Path) -> Traffic:
    """One image on the emulated board, the weights in its QSPI flash."""
    elf = folder / "firmware.elf"
    plan = fused_models.stacked_plan(ops)
    build_model(fused_models.model_bytes(ops), BOARD, elf, weights_in="external", plan=plan)
    emulator = Emulator(BOARD, elf)
    reads = emulator.watch_weights()
    image = np.random.default_rng(1).integers(-128, 128, emulator.model.image_shape, np.int8)
    emulator.classify(image)
    content = emulator.machine.read(emulator.elf.address("vit_model_weights"), len(reads))
    found = []
    for op in ops:
        for matrix in matrices(op):
            packed = pack_dual_channel(matrix.linear.weights).tobytes()
            assert content.count(packed) == 1
            start = content.index(packed)
            found.append(set(reads[start : start + len(packed)].tolist()))
    return Traffic(found, int(reads.sum()))


@pytest.mark.parametrize(
    ("token_tile", "heads_at_a_time", "rank"),
    [(2, 1, 0), (16, 1, 0), (16, 2, 4), (46, 2, 4), (58, 2, 0)],
)
def test_weights_are_loaded_as_often_as_the_kernels_say(
    tmp_path, token_tile, heads_at_a_time, rank
):
    ops = ops_with(token_tile, heads_at_a_time, rank)
    expected = [matrix for op in ops for matrix in matrices(op)]
    traffic = measure(ops, tmp_path)
    assert traffic.loads == [matrix.loads() for matrix in expected]
    # Biases, multipliers, tables and positions come on top.
    assert sum(m.passes() * m.linear.weights.size for m in expected) < traffic.all_bytes
    claimed = sum(m.passes() * m.linear.weights.size for m in expected)
    assert claimed == sum(schedule.cost(op).weight_bytes for op in ops)


def test_the_cost_model_knows_the_slices_of_the_cores():
    assert cost.SLICE_ROWS == SLICE_ROWS


def test_watching_needs_a_core_that_it_leaves_alone(build_fake):
    emulator = Emulator(BOARD, build_fake().elf)
    reads = emulator.watch_weights()
    image = np.zeros(emulator.model.image_shape, np.int8)
    emulator.classify(image)
    emulator.classify(image)
    # The fake model multiplies each weight once an image.
    assert set(reads.tolist()) == {2}
    emulator.machine.core = "cortex-m33"
    with pytest.raises(FirmwareError, match="accesses can not be watched on cortex-m33"):
        emulator.watch_weights()


NETWORKS = ("vit_t_240", "mcuformer_t_max", "vit_s_240")


def rows_of_table() -> list[str]:
    rows = []
    for network in NETWORKS:
        for streamed in (True, False):
            problem, _ = plan_graph(*weightless_graph(PRESETS[network], 8), streamed)
            found = [m for op in problem.ops if op is not None for m in matrices(op)]
            claimed = sum(schedule.cost(op).weight_bytes for op in problem.ops if op is not None)
            size = sum(m.linear.weights.size for m in found)
            assert claimed == sum(m.passes() * m.linear.weights.size for m in found)
            tiles = [
                next(op.token_tile for op in problem.ops if isinstance(op, kind))
                for kind in (Attention, Mlp)
            ]
            mode = "streamed" if streamed else "resident"
            milliseconds = claimed / BOARD.external_flash().read_megabytes_per_second / 1e3
            rows.append(
                f"| `{network}` | {mode} | {tiles[0]}, {tiles[1]} | {size:,} | {claimed:,} | "
                f"{milliseconds:,.0f} |"
            )
    return rows


def test_table_of_traffic_is_up_to_date():
    lines = PAGE.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| network | input | tiles"))
    assert lines[start + 2 : start + 2 + len(rows_of_table())] == rows_of_table(), "\n".join(
        rows_of_table()
    )
