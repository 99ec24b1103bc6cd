# SPDX-License-Identifier: Apache-2.0
"""Faults planted in copies of the Helium kernels are caught by comparison with the reference."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from benchmarks.kernels import emulator, qemu
from benchmarks.kernels.emulator import EmulationError
from benchmarks.kernels.operators import run_operator
from benchmarks.kernels.sweep import mismatches_of_seed
from benchmarks.kernels.workloads import linear
from firmware.emulator.qemu.process import PROGRAM
from tests.tflm_custom_ops import arm_kernels
from tflm_custom_ops.ops import OpKind, run_reference
from tflm_custom_ops.sources import kernel_files

pytestmark = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which(PROGRAM)),
    reason=f"arm-none-eabi-gcc or {PROGRAM} is not installed",
)
SEEDS = 60


@dataclasses.dataclass(frozen=True)
class Fault:
    """One replacement in one source file, and an operator that must notice.

    Attributes:
      kind: None: layers of 192 inputs and 8 channels, which have a loop of their own.
    """

    file: str
    before: str
    after: str
    kind: OpKind | None


FAULTS = {
    "carry of a residual sum": Fault(
        "vit_store_mve.S", "vshr.u32 q0, q0, #31", "vshr.s32 q0, q0, #31", OpKind.MLP
    ),
    "a residual sum rounded at another bit": Fault(
        "vit_store_mve.S", "mov r6, #0x80000000", "mov r6, #0x40000000", OpKind.MLP
    ),
    "no layer has a shift": Fault("vit_store_mve.S", "  beq 3f\n", "  b 3f\n", OpKind.LINEAR),
    "values of rows that are not there": Fault(
        "vit_store_mve.S", "  vctp.32 r2\n", "  movs r2, #4\n  vctp.32 r2\n", OpKind.ATTENTION
    ),
    "what GNU as makes of VQSHRN": Fault(
        "vit_norm_mve.S", "0xee980f40", "0xee980f41", OpKind.LAYER_NORM
    ),
    "odd elements twice": Fault(
        "vit_norm_mve.S", "vmovlb.s16 q0, q0", "vmovlt.s16 q0, q0", OpKind.LAYER_NORM
    ),
    "exponentials of the last eight counted again": Fault(
        "vit_exponentials_mve.S",
        "  vctp.16 r5\n  vpst\n  vmovt.i32 q2, #0\n",
        "",
        OpKind.ATTENTION,
    ),
    "maximum without the last scores": Fault(
        "vit_exponentials_mve.S", "add r12, r1, r8, lsl #2", "mov r12, r1", OpKind.ATTENTION
    ),
    "division rounded down": Fault(
        "vit_exponentials_mve.S", "vadd.i32 q0, q0, r4", "nop", OpKind.ATTENTION
    ),
    "the first tile's weights again": Fault(
        "vit_gemm_mve.S", ".set w, w + \\tile", ".set w, w", None
    ),
    "sums of two channels in one": Fault(
        "vit_gemm_mve.S", "  sub r8, r8, r0, asr #4\n", "", OpKind.LINEAR
    ),
    "the second channel's weights for the first": Fault(
        "vit_gemm_mve.S", "\\op r6, q3, q5\n  .endif", "\\op r6, q3, q4\n  .endif", OpKind.LINEAR
    ),
    "no zeros behind the inputs": Fault(
        "vit_linear_rows_mve.c",
        "if (!g->copies && size == count) return;",
        "if (!g->copies) return;",
        OpKind.LINEAR,
    ),
    "hidden units from one that is no multiple of 4": Fault(
        "vit_linear_rows_mve.c", "lead_of(&group) || ", "", OpKind.MLP
    ),
}


def notices(machine: qemu.QemuKernels, kind: OpKind | None) -> bool:
    """Whether something differs, or the kernel never comes back."""
    try:
        if kind is not None:
            return any(mismatches_of_seed(machine, kind, seed) for seed in range(SEEDS))
        layers = (linear(192, 8, 5, bits) for bits in (8, 4))
        return any(
            (run_operator(machine, op, x).y != run_reference(op, x)).any() for op, x in layers
        )
    except (EmulationError, AssertionError):
        return True


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    sources = [*kernel_files(".c", ".S"), emulator.HERE / "enable_mve.S"]
    (place,) = (i for i, path in enumerate(sources) if path.name == fault.file)
    text = sources[place].read_text(encoding="utf-8")
    assert text.count(fault.before) == 1, f"{fault.file} no longer has {fault.before!r}"
    sources[place] = tmp_path / fault.file
    sources[place].write_text(text.replace(fault.before, fault.after), encoding="utf-8")
    elf = emulator.build(qemu.CORES["cortex-m55"], sources, ("VIT_WEIGHT_ROWS",), arm_kernels.FLAGS)
    assert notices(qemu.QemuKernels(elf), fault.kind)
