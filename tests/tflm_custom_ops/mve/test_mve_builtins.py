# SPDX-License-Identifier: Apache-2.0
"""Builtin operators whose Helium form is another one, in QEMU: equal to their definitions."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.kernels import qemu
from converter import builtins
from firmware.emulator.qemu.process import PROGRAM
from tests.tflm_custom_ops import arm_kernels
from tests.tflm_custom_ops.builtins import cases
from tflm_custom_ops.sources import KERNELS

pytestmark = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which(PROGRAM)),
    reason=f"arm-none-eabi-gcc or {PROGRAM} is not installed",
)
FOLDER = KERNELS.parent / "builtins"
FILES = ("vit_elementwise.c", "vit_depthwise_conv_2d.c", "vit_pool_2d.c")
GUARD = np.full(64, 0xA5, np.uint8)


@pytest.fixture(scope="module")
def m55() -> qemu.QemuKernels:
    more = [FOLDER / name for name in FILES]
    return qemu.QemuKernels(qemu.build(qemu.CORES["cortex-m55"], arm_kernels.FLAGS, more=more))


def words(machine: qemu.QemuKernels, params: Any) -> list[int]:
    """The C struct of parameters: numbers in order, arrays by their address."""
    found: list[int] = []
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        if dataclasses.is_dataclass(value):
            found += words(machine, value)
        elif isinstance(value, np.ndarray):
            found.append(machine.put(value))
        else:
            found += value if isinstance(value, tuple) else (int(value),)
    return found


def run(machine: qemu.QemuKernels, function: str, case: cases.Case) -> NDArray[np.int8]:
    """The output; AssertionError where something around it was written."""
    machine.reset_memory()
    params = builtins.params_of(case.tensors, case.operator)
    at = machine.put(np.array(words(machine, params), np.int64).astype("<u4").view(np.uint8))
    operands = [machine.put(x.reshape(-1)) for x in case.inputs]
    size = int(np.prod(case.tensors[case.operator.outputs[0]].shape))
    y = machine.put(np.concatenate([GUARD, np.zeros(size, np.uint8), GUARD])) + GUARD.size
    machine.call(function, at, *operands, y)
    for guard in (y - GUARD.size, y + size):
        np.testing.assert_array_equal(machine.get(guard, np.uint8, GUARD.shape), GUARD)
    found: NDArray[np.int8] = machine.get(y, np.int8, (size,))  # type: ignore[assignment]
    return found


@pytest.mark.parametrize(
    ("function", "generate"),
    [
        ("vit_add", cases.add),
        ("vit_add", cases.sub),
        ("vit_depthwise_conv_2d", cases.depthwise_conv_2d),
        ("vit_pool_2d", cases.average_pool),
        ("vit_pool_2d", cases.max_pool),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_builtins_equal_their_definition(
    function: str, generate: Any, m55: qemu.QemuKernels
) -> None:
    for seed in range(60):
        case = generate(np.random.default_rng(seed))
        (want,) = builtins.run_builtin(case.tensors, case.operator, *case.inputs)
        found = run(m55, function, case)
        np.testing.assert_array_equal(found, want.reshape(-1), f"seed {seed}")
