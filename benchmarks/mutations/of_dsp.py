# SPDX-License-Identifier: Apache-2.0
"""Faults of the kernels for DSP instructions (Cortex-M4, M7, M33), run in the emulator."""

from __future__ import annotations

import functools

from benchmarks.mutations.fault import Fault, random_operators

_KERNELS = "tflm_custom_ops/kernels"
_GEMM = f"{_KERNELS}/vit_gemm_dsp.S"
_LOOP = f"{_KERNELS}/vit_gemm_dsp_loop.h"
_COLUMNS = f"{_KERNELS}/vit_gemm_dsp.c"
_STORE = f"{_KERNELS}/vit_store_dsp.c"
_SOFTMAX = f"{_KERNELS}/vit_softmax_dsp.S"
_CONTEXT = f"{_KERNELS}/vit_softmax_dsp.c"
_QUADS = f"{_KERNELS}/vit_quads4_dsp.S"
_EXPAND = f"{_KERNELS}/vit_expand_dsp.S"
_NORM = f"{_KERNELS}/vit_norm_dsp.S"
_FOLDER = "tests/tflm_custom_ops/dsp"
_BOTH_LOOPS = (f"{_FOLDER}/test_dsp_kernels.py::test_the_two_forms_of_the_loop_are_equal",)
_NEAR_THE_MEAN = (f"{_FOLDER}/test_dsp_kernels.py::test_norms_next_to_the_mean",)
_PORTABLE = (f"{_FOLDER}/test_dsp_kernels.py::test_portable_kernels_on_a_dsp_core",)
_CONVOLUTIONS = (f"{_FOLDER}/test_convolutions.py::test_convolutions_equal_the_reference",)
_random = functools.partial(random_operators, f"{_FOLDER}/test_dsp_kernels.py")

FAULTS: tuple[Fault, ...] = (
    Fault(
        "4 bits: one channel's low byte of another",
        _QUADS,
        "\\t2, \\t2, \\t1, ror #8",
        "\\t2, \\t2, r12, ror #8",
        _random("LINEAR"),
    ),
    Fault(
        "4 bits: the last word of two inputs twice",
        _QUADS,
        "  ldr r4, [r0], #4\n",
        "  ldr r4, [r0]\n",
        _random("MLP"),
    ),
    Fault(
        "4 bits: in line from any even channel",
        "tflm_custom_ops/kernels/vit_linear_rows_dsp.c",
        "(s->n.begin & (group - 1))",
        "(s->n.begin & (group > 0))",
        _random("ATTENTION"),
    ),
    Fault(
        "4 bits: every second quad",
        _COLUMNS,
        "columns->quad_step = columns->pair_step;",
        "",
        _random("LINEAR"),
    ),
    Fault(
        "a bit of S3 in S0",
        _GEMM,
        "sbfx \\s0, \\s0, #0, #24",
        "sbfx \\s0, \\s0, #0, #25",
        _random("LINEAR"),
    ),
    Fault(
        "third stream not taken out of S0",
        _GEMM,
        "add \\s0, \\s0, \\t3, lsl #16",
        "nop",
        _random("LINEAR"),
    ),
    Fault("S2 keeps S1", _GEMM, "sub \\t2, \\t2, \\t1", "nop", _random("MLP")),
    Fault(
        "a row of a step twice",
        _LOOP,
        "  ldmia.w lr!, {r6-r8}\n  ROW1 r6",
        "  ldmia.w lr!, {r6-r8}\n  ROW1 r7",
        _random("LINEAR"),
    ),
    Fault(
        "last two inputs of one row",
        _LOOP,
        "  ROW0 r6\n  ROW1 r7\n.endm",
        "  ROW0 r6\n  ROW1 r6\n.endm",
        _random("LINEAR"),
    ),
    Fault("an activation lost at the loop's end", _LOOP, "ldr r6, [lr, #-12]", "nop", _BOTH_LOOPS),
    Fault("loads ahead not taken back", _LOOP, "sub.w lr, lr, #12", "nop", _BOTH_LOOPS),
    Fault(
        "a row by itself is overwritten",
        _GEMM,
        "  str r7, [r8, r9]  // first: with a stride of 0 a row by itself stays\n  str r6, [r8]",
        "  str r6, [r8]\n  str r7, [r8, r9]",
        _random("LINEAR"),
    ),
    Fault("keys of -128", _GEMM, "  qsub8 r7, r7, r12\n", "", _random("ATTENTION")),
    Fault(
        "fourth value channel",
        _GEMM,
        "strh r2, [r8, r9]",
        "strh r1, [r8, r9]",
        _random("ATTENTION"),
    ),
    Fault(
        "table of the wrong row", _GEMM, "ldrsb r3, [r9, r3]", "ldrsb r3, [r9, r0]", _random("MLP")
    ),
    Fault(
        "middle weights without their carry",
        _EXPAND,
        "mov r12, #0x00800080",
        "mov r12, #0",
        _random("LINEAR"),
    ),
    Fault(
        "second pair of the last words",
        _EXPAND,
        "ldr r6, [r1], #4",
        "ldr r6, [r1]",
        _random("LINEAR"),
    ),
    Fault(
        "bias of the third stream",
        _COLUMNS,
        "256 * (uint32_t)bias[3]",
        "256 * (uint32_t)bias[2]",
        _random("LINEAR"),
    ),
    Fault(
        "bias in the streams where it does not fit",
        _COLUMNS,
        "product->linear->k_block > vit_dsp_k_even",
        "product->linear->k_block >= vit_dsp_k_even",
        _random("LINEAR"),
    ),
    Fault(
        "first half of the last four channels twice",
        _COLUMNS,
        "has_second ? pair0 + columns->pair_step : pair0",
        "has_second ? pair0 : pair0",
        _random("LINEAR"),
    ),
    Fault(
        "scores of the next group",
        _CONTEXT,
        "(r / VIT_ROW_GROUP) * group_scores",
        "(r / VIT_ROW_GROUP + (r > 2)) * group_scores",
        _random("ATTENTION"),
    ),
    Fault(
        "context of the heads before the last",
        "tflm_custom_ops/ops/attention/vit_attention.c",
        "if (h > 0) widen_context",
        "if (h > 1) widen_context",
        _random("ATTENTION"),
    ),
    Fault(
        "residual of the row's first channel",
        "tflm_custom_ops/kernels/vit_store_dsp.S",
        "\\bits, r6, \\bytes",
        "\\bits, r6, 0",
        _random("MLP"),
    ),
    Fault(
        "an element by its neighbour's gamma",
        _NORM,
        "smmlar r9, r9, r11, lr",
        "smmlar r9, r9, r10, lr",
        _random("LAYER_NORM"),
    ),
    Fault(
        "a reciprocal that is not rounded",
        _NORM,
        "smmulr r9, r9, RECIPROCAL",
        "smmul r9, r9, RECIPROCAL",
        _NEAR_THE_MEAN,
    ),
    Fault(
        "every fourth score is no maximum",
        _SOFTMAX,
        "  LARGER r10\n  LARGER r11\n",
        "  LARGER r10\n",
        _random("ATTENTION"),
    ),
    Fault(
        "scores of odd tokens without their shift",
        _SOFTMAX,
        "  lsl \\b, \\b, SHIFT\n",
        "",
        _random("ATTENTION"),
    ),
    Fault(
        "the third of the last tokens in the first's place",
        _SOFTMAX,
        "EXP_LAST 8, 2",
        "EXP_LAST 8, 0",
        _random("ATTENTION"),
    ),
    Fault(
        "odd values keep their zero point",
        "tflm_custom_ops/kernels/vit_widen_dsp.S",
        "ssub16 lr, lr, r3",
        "ssub16 lr, lr, r12",
        _random("ATTENTION"),
    ),
    Fault(
        "the fourth channel's sums without their shift",
        _STORE,
        "    sums[3] = vit_shl32(sums[3], shift);\n",
        "",
        _random("MLP"),
    ),
    Fault(
        "the second key of a pair is the first",
        _STORE,
        "256 * requantize(q, c->sums[4 * r + 4])",
        "256 * requantize(q, c->sums[4 * r])",
        _random("ATTENTION"),
    ),
    Fault(
        "clamps of a residual sum",
        _STORE,
        "store->function == vit_store_residual_8_8 && is_full_range(c->p, -128, 127)",
        "store->function == vit_store_residual_8_8",
        _random("MLP"),
    ),
    Fault(
        "residual sums of 16 bits from rows of 8",
        _STORE,
        "residual_quad(c, 2);",
        "residual_quad(c, 1);",
        _random("MLP"),
    ),
    Fault(
        "a residual without its shift",
        "tflm_custom_ops/kernels/vit_store_dsp.S",
        "  lsl lr, lr, SHIFT\n",
        "",
        _random("MLP"),
    ),
    Fault(
        "relative values are divided twice",
        _CONTEXT,
        "      if (out->relative) divisions[r].zero = divisions[r].shift = 0;  ",
        "",
        _random("ATTENTION"),
    ),
    Fault(
        "a row that fills a group of four",
        "tflm_custom_ops/kernels/vit_gemm_dsp_macros.h",
        "adds \\counter, \\counter, #\\many",
        "adds \\counter, \\counter, #(\\many - 1)",
        _random("LINEAR"),
    ),
    Fault(
        "portable kernels: odd bytes twice",
        "tflm_custom_ops/kernels/vit_simd.h",
        '"sxtb16 %0, %1" : "=r"(r)',
        '"sxtb16 %0, %1, ror #8" : "=r"(r)',
        _PORTABLE,
    ),
    Fault(
        "a factor of TFLite is not rounded half up",
        "tflm_custom_ops/builtins/vit_rescale.h",
        "+ 4) >> 3",
        "+ 3) >> 3",
        _CONVOLUTIONS,
    ),
    Fault(
        "convolution: a layer of 4 bits as one of 8",
        "tflm_custom_ops/builtins/vit_conv_2d.c",
        "p->linear.layout || p->linear.shift",
        "p->linear.shift",
        _CONVOLUTIONS,
    ),
    Fault(
        "convolution: sums without their shift",
        "tflm_custom_ops/builtins/vit_conv_2d.c",
        "(int32_t)((uint32_t)sum << linear.shift)",
        "sum",
        _CONVOLUTIONS,
    ),
)
