# SPDX-License-Identifier: Apache-2.0
"""Helium kernels whose buffers end where the memory does: a read behind them is a fault."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.kernels import qemu
from firmware.emulator.qemu.debugger import DebuggerError
from firmware.emulator.qemu.process import PROGRAM
from tests.tflm_custom_ops import arm_kernels, generators
from tflm_custom_ops.ops import OpKind, Params, operator_of, run_reference

pytestmark = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which(PROGRAM)),
    reason=f"arm-none-eabi-gcc or {PROGRAM} is not installed",
)
END = 0x2008_0000  # of the board's DTCM; nothing is behind it
SCRATCH = -1  # else the number of an input
COUNT = 24


def machine() -> qemu.QemuKernels:
    return qemu.QemuKernels(qemu.build(qemu.CORES["cortex-m55"], arm_kernels.FLAGS))


m55 = pytest.fixture(scope="module")(machine)


def ended(size: int, alignment: int) -> int:
    return (END - size) // alignment * alignment


def run(
    machine: qemu.QemuKernels, op: Params, inputs: tuple[NDArray[np.generic], ...], last: int
) -> NDArray[np.generic]:
    """The output; the scratch, or an input, is the last thing in the memory."""
    machine.reset_memory()
    operator = operator_of(op)
    params = machine.parameters(op)
    at = []
    for i, x in enumerate(inputs):
        place = ended(x.nbytes, x.itemsize) if i == last else machine.alloc(x.nbytes)
        machine.write(place, x)
        at.append(place)
    shape, dtype = operator.output_shape(inputs[0].shape), operator.output.dtype
    y = machine.alloc(int(np.prod(shape)) * dtype.itemsize)
    scratch = inputs[0].size
    if operator.HAS_SCRATCH:
        size = machine.call(f"vit_{operator.NAME}_scratch_bytes", params).result
        scratch = ended(size, 16) if last == SCRATCH else machine.alloc(size)
    machine.call(f"vit_{operator.NAME}", params, *at, y, scratch)
    return machine.get(y, dtype.type, shape)


@pytest.mark.parametrize("kind", [OpKind.PATCH_EMBED, OpKind.PATCH_MERGE])
def test_tokens_overwrite_what_was_read(kind: OpKind, m55: qemu.QemuKernels) -> None:
    """As far before the input as the planner may place them."""
    for seed in range(COUNT):
        rng = np.random.default_rng(300 + seed)
        op = generators.random_op(kind, rng)
        (x,) = generators.random_inputs(op, rng)
        expected, operator = run_reference(op, x), operator_of(op)
        assert operator.overwrite_margin is not None
        m55.reset_memory()
        params, y = m55.parameters(op), m55.alloc(expected.nbytes + operator.overwrite_margin)
        place = m55.alloc(x.nbytes)
        m55.write(place, x)
        y = (place - operator.overwrite_margin) // 16 * 16
        scratch = m55.alloc(m55.call(f"vit_{operator.NAME}_scratch_bytes", params).result)
        m55.call(f"vit_{operator.NAME}", params, place, y, scratch)
        found = m55.get(y, expected.dtype.type, expected.shape)
        assert (found == expected).all(), f"seed {seed}"


def test_behind_the_memory_is_a_fault() -> None:
    """Which ends QEMU, since there is no handler."""
    core, op = machine(), generators.random_op(OpKind.GELU, np.random.default_rng(1))
    params, y = core.parameters(op), core.alloc(64)
    core.call("vit_gelu", params, END - 16, y, 16)
    with pytest.raises(DebuggerError):
        core.call("vit_gelu", params, END - 16, y, 17)


@pytest.mark.parametrize("kind", list(OpKind))
def test_nothing_behind_scratch_and_inputs_is_read(kind: OpKind, m55: qemu.QemuKernels) -> None:
    for seed in range(COUNT):
        rng = np.random.default_rng(900 + seed)
        op = generators.random_op(kind, rng, extreme=bool(seed % 2))
        inputs = generators.random_inputs(op, rng, extreme=bool(seed % 2))
        places = [SCRATCH] * operator_of(op).HAS_SCRATCH + list(range(len(inputs)))
        last = places[seed % len(places)]
        found = run(m55, op, inputs, last)
        assert (found == run_reference(op, *inputs)).all(), f"seed {seed}"
