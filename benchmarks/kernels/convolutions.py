# SPDX-License-Identifier: Apache-2.0
"""Runs builtin convolutions in a kernel emulator, and draws some."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.kernels.c_structs import AddressOf, Place, c_struct
from benchmarks.kernels.emulator import CallResult
from benchmarks.kernels.machine import KernelMachine
from converter.compile.convolution import packed
from converter.compile.weights import WeightOrder
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.schedule import STACK_BYTES, ConvSchedule
from tflm_custom_ops.sources import KERNELS, kernel_files

NAME = "CONVOLUTION"
KERNEL = KERNELS.parent / "builtins" / "vit_conv_2d.c"
_MOST_SCRATCH = 1 << 13
_GUARD = np.full(64, 0xA5, np.uint8)


def sources() -> list[Path]:
    """All kernels, and the convolution."""
    return [*kernel_files(".c", ".S"), KERNEL]


@dataclasses.dataclass(frozen=True)
class ConvolutionRun:
    """What a run gave and took."""

    y: NDArray[np.int8]
    call: CallResult


def parameters(
    op: p.Conv2D, scratch_bytes: int, place: Place, address_of: AddressOf, order: WeightOrder
) -> tuple[bytes, int]:
    """VitConv2DParams in the core's memory, and bytes of scratch.

    Args:
      scratch_bytes: that it may take.
      place: puts an array into memory.
      order: rows for the Helium kernels.
    """
    conv = packed(op, NAME, scratch_bytes)

    def words(*values: int) -> bytes:
        return np.array(values, np.int64).astype("<u4").tobytes()

    content = words(*dataclasses.astuple(conv.window), conv.input_zero_point)
    content += c_struct(conv.linear, place, address_of, order)
    content += words(place(conv.shift), conv.rows, conv.inputs, conv.channels)
    return content, ConvSchedule(conv.rows, conv.inputs, conv.channels).scratch_bytes


def run_convolution(
    machine: KernelMachine, op: p.Conv2D, x: NDArray[np.int8], scratch_bytes: int
) -> ConvolutionRun:
    """Runs it between guards; raises AssertionError where the kernel wrote outside."""
    machine.reset_memory()
    content, taken = parameters(op, scratch_bytes, machine.put, machine.address_of, machine.order)
    window = op.window
    shape = (window.output_height, window.output_width, window.output_channels)
    at = machine.put(np.frombuffer(content, np.uint8)), machine.put(x.reshape(-1))
    guards = [machine.put(_GUARD)]
    y = machine.alloc(int(np.prod(shape)))
    guards.append(machine.put(_GUARD))
    scratch = machine.alloc(taken)
    guards.append(machine.put(_GUARD))
    call = machine.call("vit_conv_2d", *at, y, scratch)
    for guard in guards:
        if not np.array_equal(machine.get(guard, np.uint8, _GUARD.shape), _GUARD):
            raise AssertionError(f"{NAME}: the kernel wrote outside its buffers")
    return ConvolutionRun(machine.get(y, np.int8, shape), call)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """A convolution, its input, and bytes of scratch."""

    op: p.Conv2D
    x: NDArray[Any]
    scratch_bytes: int


def random_case(rng: np.random.Generator) -> Drawn:
    """Any window; weights of 4 or 8 bits, sometimes factors above 1 or powers of two (ties)."""
    kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    inputs, outputs = int(rng.integers(1, 40)), int(rng.integers(1, 24))
    size = kernel + rng.integers(0, 7, 2)
    pad = rng.integers(0, 2, 2) * (kernel // 2)
    out = (size + 2 * pad - kernel) // stride + 1
    largest = int(rng.choice([7, 127]))
    weights = rng.integers(-largest, largest + 1, (outputs, *kernel, inputs)).astype(np.int16)
    spread = 80.0 * largest * float(np.sqrt(kernel.prod() * inputs))
    factors = 2.0 ** -np.rint(np.log2(spread / rng.uniform(10, 100, outputs)))
    if rng.random() < 0.7:
        factors *= rng.uniform(0.5, 1, outputs) * (300 if rng.random() < 0.1 else 1)
    fixed = [p.quantize_multiplier(float(f)) for f in factors]
    low, high = sorted(int(v) for v in rng.choice([-128, -20, 100, 127], 2, replace=False))
    op = p.Conv2D(
        p.Window(
            *(int(size[0]), int(size[1]), inputs, int(out[0]), int(out[1]), outputs),
            *(int(kernel[0]), int(kernel[1]), int(stride[0]), int(stride[1]), 1, 1),
            *(int(pad[0]), int(pad[1])),
        ),
        int(rng.integers(-128, 128)),
        int(rng.integers(-128, 128)),
        low,
        high,
        weights,
        rng.integers(-3000, 3000, outputs).astype(np.int32),
        np.array([m.multiplier for m in fixed], np.int32),
        np.array([m.shift for m in fixed], np.int32),
    )
    x = rng.integers(-128, 128, (1, *size, inputs)).astype(np.int8)
    return Drawn(op, x, int(rng.integers(STACK_BYTES, _MOST_SCRATCH)))
