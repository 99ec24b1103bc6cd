# SPDX-License-Identifier: Apache-2.0
"""The stem's estimate: loops counted exactly, costs as recorded, close to the emulated kernel."""

import dataclasses
import json
import pathlib

import pytest

from benchmarks.conv_instructions import Convolution, convolutions, count, fit, machine
from keras_models.presets import PRESETS
from nas.cost.conv import INSTRUCTIONS, ConvShape, instructions, work_of
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space.presets import SPACES
from tflm_custom_ops.ops.scratch import expansion

RECORD = pathlib.Path(__file__).parents[3] / "docs" / "results" / "conv_instructions.json"
LARGEST_ERROR = 0.05


def test_loops_of_a_small_convolution():
    """4 x 4 outputs, 3 x 3 x 4 inputs, 6 outputs: one tile of 14 pixels and one of 2."""
    shape = ConvShape(16, 9, 4, 6)
    work = work_of(shape, 14 * (2 * 36 + 4 * 6) + expansion(36))
    assert work.taps == 16 * 9
    assert work.gathered == 16 * 36
    assert work.products == (7 + 1) * 2 * 36
    assert work.expanded == 2 * 2 * 36
    assert work.sums == (7 + 1) * 2
    assert work.outputs == 16 * 6
    assert work.tiles == 2
    cut = work_of(ConvShape(6, 9, 64, 32), 768)  # inputs and channels are cut: gathered again
    assert cut.gathered > 6 * 9 * 64
    assert instructions(ConvShape(6, 9, 64, 32), 0) == instructions(ConvShape(6, 9, 64, 32), 768)


def test_recorded_costs_are_those_of_the_model():
    data = json.loads(RECORD.read_text())
    assert data["fitted"] == dataclasses.asdict(INSTRUCTIONS)
    assert data["largest_error"] <= LARGEST_ERROR
    every = [Convolution(**{f.name: row[f.name] for f in dataclasses.fields(Convolution)})
             for row in data["convolutions"]]  # fmt: skip
    assert every == convolutions()
    exact = [row["instructions"] for row in data["convolutions"]]
    assert fit(every, exact) == INSTRUCTIONS
    for conv, known in zip(every, exact, strict=True):
        estimate = instructions(conv.shape, conv.scratch_bytes)
        assert estimate == pytest.approx(known, rel=LARGEST_ERROR)
    assert all(abs(row["stem_error"]) < LARGEST_ERROR for row in data["networks"])


def test_the_emulated_kernel_is_as_estimated():
    core = machine()
    for conv in (Convolution(8, 3, 3, 1, 24, 1 << 14), Convolution(8, 24, 3, 2, 48, 768)):
        estimate = instructions(conv.shape, conv.scratch_bytes)
        assert count(core, conv) == pytest.approx(estimate, rel=2 * LARGEST_ERROR)


def test_less_scratch_is_never_faster():
    space = SPACES["mcu_32"]
    arch = space.arch(space.largest(space.patches[0]))
    model = CostModel(Target(), streamed=False)
    stem = [op for op in model.operators(arch) if op.convolution]
    assert len(stem) == 2
    for op in stem:
        counts = [op.best(op.base_bytes + free).instructions for free in (0, 2048, 4096, 1 << 15)]
        assert counts == sorted(counts, reverse=True)
        assert op.best(op.base_bytes - 1) is None


def test_a_convolution_has_what_the_networks_own_arena_leaves():
    """Not what the SRAM limit would leave."""
    arch = PRESETS["vit_micro_32"]
    model = CostModel(Target(sram_bytes=320 * 1024), streamed=False)
    ops, found = model.operators(arch), model.cost(arch)
    limit = model.target.arena_bytes(model.firmware(arch, len(ops)))
    least, used = 0.0, 0.0
    for op in ops:
        least += op.best(limit).instructions
        used += op.best(found.arena_bytes if op.convolution else limit).instructions
    assert found.instructions == used
    assert used > least
