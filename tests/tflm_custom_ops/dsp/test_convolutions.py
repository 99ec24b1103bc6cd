# SPDX-License-Identifier: Apache-2.0
"""Builtin convolutions of 4 and 8 bits on emulated cores equal their definition."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from benchmarks.kernels import convolutions, emulator
from benchmarks.kernels.sweep import machine_of, mismatches_of_convolution
from converter.compile.convolution import layout_of
from tflm_custom_ops.ops.layouts import WeightLayout

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)
SEEDS = range(80)


def drawn(seed: int) -> convolutions.Drawn:
    return convolutions.random_case(np.random.default_rng(seed))


def test_both_layouts_are_among_the_draws_and_factors_above_one() -> None:
    layouts = [layout_of(drawn(seed).op) for seed in SEEDS]
    assert layouts.count(WeightLayout.QUADS4) > 20
    assert layouts.count(WeightLayout.PAIRS8) > 20
    assert any(drawn(seed).op.shift.max() > 0 for seed in SEEDS)


@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m4"])
def test_convolutions_equal_the_reference(core: str) -> None:
    machine = machine_of(core)
    assert [seed for seed in SEEDS if mismatches_of_convolution(machine, seed)] == []


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("vit_rescale.h", "+ 4) >> 3", "+ 3) >> 3"),  # half up
        ("vit_conv_2d.c", "p->linear.layout || p->linear.shift", "p->linear.shift"),
        ("vit_conv_2d.c", "(int32_t)((uint32_t)sum << linear.shift)", "sum"),
    ],
)
def test_planted_faults_are_noticed(tmp_path, file: str, before: str, after: str) -> None:
    for name in ("vit_conv_2d.c", "vit_conv_2d_mve.h", "vit_rescale.h", "vit_builtins.h"):
        shutil.copy(convolutions.KERNEL.parent / name, tmp_path)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert text.count(before) == 1
    (tmp_path / file).write_text(text.replace(before, after), encoding="utf-8")
    sources = [*convolutions.sources()[:-1], tmp_path / "vit_conv_2d.c"]
    machine = emulator.KernelEmulator(emulator.build(sources=sources))
    assert any(mismatches_of_convolution(machine, seed) for seed in SEEDS)
