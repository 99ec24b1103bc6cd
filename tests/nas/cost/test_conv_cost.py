# SPDX-License-Identifier: Apache-2.0
"""The stem's estimate: loops counted exactly, close to the emulated kernel."""

import json
import pathlib

import pytest

from benchmarks.conv_instructions import convolutions, count, machine
from keras_models.presets import PRESETS
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space.presets import SPACES
from tflm_custom_ops.builtins.conv_work import StemConvolution
from tflm_custom_ops.ops.scratch import expansion
from tflm_custom_ops.ops.work import Term

RECORD = pathlib.Path(__file__).parents[3] / "docs" / "results" / "conv_instructions.json"
LARGEST_ERROR = 0.03


def test_loops_of_a_small_convolution():
    """4 x 4 outputs, 3 x 3 x 4 inputs, 6 outputs: one tile of 14 pixels and one of 2."""
    work = StemConvolution(4, 4, 3, 1, 6).work(14 * (2 * 36 + 4 * 6) + expansion(36))
    inside = (4 * 3 - 2) ** 2  # taps; the first and the last pixel of a line have one outside
    assert work[Term.CONV_TILE] == 2
    assert work[Term.CONV_TAP] == inside
    assert work[Term.CONV_TAP_OUTSIDE] == 16 * 9 - inside
    assert work[Term.CONV_PAIR] == inside * 2
    assert work[Term.CONV_ODD] == 0
    assert work[Term.CONV_FILL] == (16 * 9 - inside) * 4
    assert work[Term.CONV_OUTPUT] == 16 * 6
    assert work[Term.INPUT] == (7 + 1) * 2 * 36
    cut = StemConvolution(6, 64, 3, 2, 32).work(768)  # inputs and channels are cut: gathered again
    assert cut[Term.CONV_TAP] > 9 * 9
    assert cut == StemConvolution(6, 64, 3, 2, 32).work(0)


def test_recorded_estimates_are_those_of_the_model():
    data = json.loads(RECORD.read_text())
    assert data["largest_error"] <= LARGEST_ERROR
    for (conv, scratch), row in zip(convolutions(), data["convolutions"], strict=True):
        assert (conv.side, conv.outputs, scratch) == (
            row["side"],
            row["outputs"],
            row["scratch_bytes"],
        )
        assert round(conv.work(scratch).instructions) == row["estimate"]
        assert row["estimate"] == pytest.approx(row["instructions"], rel=LARGEST_ERROR)
    assert all(abs(row["stem_error"]) < LARGEST_ERROR for row in data["networks"])


def test_the_emulated_kernel_is_as_estimated():
    core = machine()
    for conv, scratch in (
        (StemConvolution(8, 3, 3, 1, 24), 1 << 14),
        (StemConvolution(8, 24, 3, 2, 48), 768),
    ):
        estimate = conv.work(scratch).instructions
        assert count(core, conv, scratch) == pytest.approx(estimate, rel=LARGEST_ERROR)


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
    limit = model.target.arena_bytes(model.firmware(model.operators(arch), arch))
    least, used = 0.0, 0.0
    for op in ops:
        least += op.best(limit).instructions
        used += op.best(found.arena_bytes if op.convolution else limit).instructions
    assert found.instructions == pytest.approx(used, rel=1e-12)  # sums in another order
    assert used > least
