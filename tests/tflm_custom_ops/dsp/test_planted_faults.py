# SPDX-License-Identifier: Apache-2.0
"""Faults planted in copies of the DSP kernels are caught by the comparison with the reference."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from benchmarks.kernels.emulator import CORTEX_M7, KERNELS, EmulationError, KernelEmulator
from benchmarks.kernels.sweep import mismatches_of_seed
from tests.tflm_custom_ops import arm_kernels
from tflm_custom_ops.ops import OpKind

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)

SEEDS = 60


@dataclasses.dataclass(frozen=True)
class Fault:
    """One replacement in one source file, and an operator that must notice."""

    file: str
    before: str
    after: str
    kind: OpKind
    single_loads: int = 0


FAULTS = {
    "4 bits: one channel's low byte of another": Fault(
        "vit_quads4_dsp.S", "\\t2, \\t2, \\t1, ror #8", "\\t2, \\t2, r12, ror #8", OpKind.LINEAR
    ),
    "4 bits: the last word of two inputs twice": Fault(
        "vit_quads4_dsp.S", "  ldr r4, [r0], #4\n", "  ldr r4, [r0]\n", OpKind.MLP
    ),
    "4 bits: in line from any even channel": Fault(
        "vit_linear_rows_dsp.c",
        "(s->n.begin & (group - 1))",
        "(s->n.begin & (group > 0))",
        OpKind.ATTENTION,
    ),
    "4 bits: every second quad": Fault(
        "vit_gemm_dsp.c", "columns->quad_step = columns->pair_step;", "", OpKind.LINEAR
    ),
    "a bit of S3 in S0": Fault(
        "vit_gemm_dsp.S", "sbfx \\s0, \\s0, #0, #24", "sbfx \\s0, \\s0, #0, #25", OpKind.LINEAR
    ),
    "third stream not taken out of S0": Fault(
        "vit_gemm_dsp.S", "add \\s0, \\s0, \\t3, lsl #16", "nop", OpKind.LINEAR
    ),
    "S2 keeps S1": Fault("vit_gemm_dsp.S", "sub \\t2, \\t2, \\t1", "nop", OpKind.MLP),
    "a row of a step twice": Fault(
        "vit_gemm_dsp_loop.h",
        "  ldmia.w lr!, {r6-r8}\n  ROW1 r6",
        "  ldmia.w lr!, {r6-r8}\n  ROW1 r7",
        OpKind.LINEAR,
    ),
    "last two inputs of one row": Fault(
        "vit_gemm_dsp_loop.h",
        "  ROW0 r6\n  ROW1 r7\n.endm",
        "  ROW0 r6\n  ROW1 r6\n.endm",
        OpKind.LINEAR,
    ),
    "an activation lost at the loop's end": Fault(
        "vit_gemm_dsp_loop.h", "ldr r6, [lr, #-12]", "nop", OpKind.MLP, single_loads=1
    ),
    "loads ahead not taken back": Fault(
        "vit_gemm_dsp_loop.h", "sub.w lr, lr, #12", "nop", OpKind.LINEAR, single_loads=1
    ),
    "a row by itself is overwritten": Fault(
        "vit_gemm_dsp.S",
        "  str r7, [r8, r9]  // first: with a stride of 0 a row by itself stays\n  str r6, [r8]",
        "  str r6, [r8]\n  str r7, [r8, r9]",
        OpKind.LINEAR,
    ),
    "keys of -128": Fault("vit_gemm_dsp.S", "  qsub8 r7, r7, r12\n", "", OpKind.ATTENTION),
    "fourth value channel": Fault(
        "vit_gemm_dsp.S", "strh r2, [r8, r9]", "strh r1, [r8, r9]", OpKind.ATTENTION
    ),
    "table of the wrong row": Fault(
        "vit_gemm_dsp.S", "ldrsb r3, [r9, r3]", "ldrsb r3, [r9, r0]", OpKind.MLP
    ),
    "middle weights without their carry": Fault(
        "vit_expand_dsp.S", "mov r12, #0x00800080", "mov r12, #0", OpKind.LINEAR
    ),
    "second pair of the last words": Fault(
        "vit_expand_dsp.S", "ldr r6, [r1], #4", "ldr r6, [r1]", OpKind.LINEAR
    ),
    "bias of the third stream": Fault(
        "vit_gemm_dsp.c", "256 * (uint32_t)bias[3]", "256 * (uint32_t)bias[2]", OpKind.LINEAR
    ),
    "bias in the streams where it does not fit": Fault(
        "vit_gemm_dsp.c",
        "product->linear->k_block > vit_dsp_k_even",
        "product->linear->k_block >= vit_dsp_k_even",
        OpKind.LINEAR,
    ),
    "first half of the last four channels twice": Fault(
        "vit_gemm_dsp.c",
        "has_second ? pair0 + columns->pair_step : pair0",
        "has_second ? pair0 : pair0",
        OpKind.LINEAR,
    ),
    "scores of the next group": Fault(
        "vit_softmax_dsp.c",
        "(r / VIT_ROW_GROUP) * group_scores",
        "(r / VIT_ROW_GROUP + (r > 2)) * group_scores",
        OpKind.ATTENTION,
    ),
    "context of the heads before the last": Fault(
        "vit_attention.c", "if (h > 0) widen_context", "if (h > 1) widen_context", OpKind.ATTENTION
    ),
    "residual of the row's first channel": Fault(
        "vit_store_dsp.S", "\\bits, r6, \\bytes", "\\bits, r6, 0", OpKind.MLP
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    for path in KERNELS.glob("*.[chS]"):
        text = path.read_text()
        if path.name == fault.file:
            assert text.count(fault.before) == 1, f"{fault.file} no longer has {fault.before!r}"
            text = text.replace(fault.before, fault.after)
        (tmp_path / path.name).write_text(text)
    elf = arm_kernels.build(
        CORTEX_M7,
        sources=sorted(tmp_path.glob("*.[cS]")),
        defines=[f"VIT_DSP_SINGLE_LOADS={fault.single_loads}"],
    )
    machine = KernelEmulator(elf, CORTEX_M7)
    for seed in range(SEEDS):
        try:
            if mismatches_of_seed(machine, fault.kind, seed):
                return
        except (AssertionError, EmulationError):
            return
    pytest.fail(f"{fault.kind.name}: no difference in {SEEDS} random operators")
