# SPDX-License-Identifier: Apache-2.0
"""The portable kernels on cores without the DSP extension, emulated: simply correct."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.kernels import emulator
from benchmarks.kernels.sweep import mismatches_of_seed
from tests.tflm_custom_ops import arm_kernels
from tflm_custom_ops.ops import OpKind

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc"
)


@pytest.fixture(scope="module", params=["cortex-m0plus", "cortex-m3"])
def machine(request: pytest.FixtureRequest) -> emulator.KernelEmulator:
    core = emulator.CORES[request.param]
    return emulator.KernelEmulator(arm_kernels.build(core), core)


@pytest.mark.parametrize("kind", list(OpKind), ids=lambda kind: kind.name)
def test_random_operators(kind: OpKind, machine: emulator.KernelEmulator) -> None:
    for seed in range(60):
        assert mismatches_of_seed(machine, kind, seed) == 0, f"seed {seed}"
