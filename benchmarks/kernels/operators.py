# SPDX-License-Identifier: Apache-2.0
"""Runs whole operators in the kernel emulator, as the firmware would: parse, scratch, kernel."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
from numpy.typing import NDArray

from benchmarks.kernels.emulator import RAM_BASE, CallResult
from benchmarks.kernels.machine import KernelMachine
from tflm_custom_ops.ops import Params, operator_of

GUARD_BYTES = 64
CANARY = 0xA5


@dataclasses.dataclass(frozen=True)
class OperatorRun:
    """Result of one operator, the call of its kernel, and its scratch."""

    y: NDArray[np.generic]
    call: CallResult
    scratch_bytes: int


def can_alias(op: Params) -> bool:
    """Whether y may equal the first input (kernels/vit_kernels.h)."""
    return operator_of(op).in_place


def _guarded(emulator: KernelMachine, size: int) -> int:
    """A buffer between two canaries of GUARD_BYTES."""
    return emulator.alloc(size + 2 * GUARD_BYTES, CANARY) + GUARD_BYTES


def _check(emulator: KernelMachine, address: int, size: int, what: str) -> None:
    for start in (address - GUARD_BYTES, address + size):
        if (emulator.get(start, np.uint8, (GUARD_BYTES,)) != CANARY).any():
            raise AssertionError(f"{what}: the kernel wrote outside its {size} bytes")


def run_operator(
    emulator: KernelMachine,
    op: Params,
    *inputs: NDArray[np.generic],
    alias: bool = False,
    paint: bool = False,
    profile: bool = False,
    watch: bool = False,
) -> OperatorRun:
    """Runs ``op`` on its inputs; raises EmulationError or AssertionError if the kernel misbehaves.

    ``watch`` also looks at reads right behind the scratch, which no loop that loads ahead may make.
    """
    emulator.reset_memory()
    operator = operator_of(op)
    name = operator.NAME
    params = emulator.parameters(op)
    scratch_bytes = 0
    if operator.HAS_SCRATCH:
        scratch_bytes = emulator.call(f"vit_{name}_scratch_bytes", params).result
    shape, dtype = operator.output_shape(inputs[0].shape), operator.output.dtype
    y_bytes = int(np.prod(shape)) * dtype.itemsize
    sources = [_guarded(emulator, x.nbytes) for x in inputs]
    for source, x in zip(sources, inputs, strict=True):
        emulator.write(source, x)
    target = sources[0] if alias else _guarded(emulator, y_bytes)
    scratch = _guarded(emulator, scratch_bytes)
    last = scratch if operator.HAS_SCRATCH else inputs[0].size
    with emulator.watching() if watch else contextlib.nullcontext() as reads:
        call = emulator.call(
            f"vit_{name}", params, *sources, target, last, paint=paint, profile=profile
        )
    if reads is not None:
        behind = scratch + scratch_bytes - RAM_BASE
        if reads[behind : behind + GUARD_BYTES].any():
            raise AssertionError(f"scratch: the kernel read after its {scratch_bytes} bytes")
    _check(emulator, scratch, scratch_bytes, "scratch")
    if not alias:
        _check(emulator, target, y_bytes, "y")
    for i, (source, x) in enumerate(zip(sources, inputs, strict=True)):
        _check(emulator, source, x.nbytes, f"input {i}")
        found = emulator.get(source, np.uint8, (x.nbytes,)).tobytes()
        if found != np.ascontiguousarray(x).tobytes() and not (alias and i == 0):
            raise AssertionError(f"input {i}: the kernel changed it")
    return OperatorRun(emulator.get(target, dtype.type, shape), call, scratch_bytes)
