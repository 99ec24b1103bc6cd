# SPDX-License-Identifier: Apache-2.0
"""Builtin convolutions of the Helium kernels in QEMU equal their definition."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

from benchmarks.kernels import convolutions
from benchmarks.kernels.machine import KernelMachine
from benchmarks.kernels.sweep import machine_of, mismatches_of_convolution
from firmware.emulator.qemu.process import PROGRAM
from tflm_custom_ops.builtins.params import Conv2D, Window
from tflm_custom_ops.builtins.reference import conv_2d
from tflm_custom_ops.builtins.schedule import STACK_BYTES

pytestmark = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which(PROGRAM)),
    reason=f"arm-none-eabi-gcc or {PROGRAM} is not installed",
)


@pytest.fixture(scope="module")
def m55() -> KernelMachine:
    return machine_of("cortex-m55")


def layer(window: Window) -> tuple[Conv2D, np.ndarray]:
    """A convolution of random numbers, with shifts of 0 and more to the right."""
    rng = np.random.default_rng(window.input_channels)
    n, taps = window.output_channels, (window.kernel_height, window.kernel_width)
    op = Conv2D(
        window,
        *(-7, 5, -128, 127),
        rng.integers(-127, 128, (n, *taps, window.input_channels)).astype(np.int16),
        rng.integers(-3000, 3000, n).astype(np.int32),
        rng.integers(1 << 30, 1 << 31, n).astype(np.int32),
        rng.choice([-12, -9, -8, 0], n).astype(np.int32),
    )
    x = rng.choice([-128, 127, 3, -20], (1, window.input_height, window.input_width, 1))
    return op, (x + rng.integers(0, 2, (*x.shape[:3], window.input_channels)) * (x < 127)).astype(
        np.int8
    )


def test_random_convolutions(m55: KernelMachine) -> None:
    assert [seed for seed in range(60) if mismatches_of_convolution(m55, seed)] == []


@pytest.mark.parametrize(
    ("window", "scratch_bytes"),
    [
        (Window(5, 7, 32, 5, 7, 9, 1, 1, 1, 1, 1, 1, 0, 0), STACK_BYTES),  # its own patches
        (Window(5, 7, 20, 5, 7, 9, 1, 1, 1, 1, 1, 1, 0, 0), STACK_BYTES),  # ... but no whole steps
        (Window(6, 6, 5, 6, 6, 6, 3, 3, 1, 1, 1, 2, 1, 2), 4096),  # dilated
        (Window(1, 3, 9, 1, 3, 5, 1, 2, 1, 1, 1, 0, 0, 0), 4096),  # twice the same pixel
        (Window(5, 5, 20, 5, 5, 6, 3, 3, 1, 1, 1, 1, 1, 1), 400),  # two patches
        (Window(4, 4, 96, 4, 4, 10, 3, 3, 1, 1, 1, 1, 1, 1), STACK_BYTES),  # none: inputs in parts
        (Window(4, 4, 96, 4, 4, 10, 3, 3, 1, 1, 1, 1, 1, 1), 8192),  # more than 768 inputs
    ],
)
def test_forms_of_convolutions(window: Window, scratch_bytes: int, m55: KernelMachine) -> None:
    op, x = layer(window)
    found = convolutions.run_convolution(m55, op, x, scratch_bytes).y
    np.testing.assert_array_equal(found, conv_2d(op, x).reshape(found.shape))


def test_wide_convolutions_take_few_instructions(m55: KernelMachine) -> None:
    """At most 0.25 a product: the sums are not kept, and patches copied as vectors."""
    op, x = layer(Window(8, 8, 32, 8, 8, 32, 3, 3, 1, 1, 1, 1, 1, 1))
    op = dataclasses.replace(op, shift=np.full(32, -9, np.int32))
    run = convolutions.run_convolution(m55, op, x, 8192)
    assert run.call.instructions <= 0.25 * 64 * 32 * 288
