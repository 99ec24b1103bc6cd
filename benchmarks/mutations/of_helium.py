# SPDX-License-Identifier: Apache-2.0
"""Faults of the Helium kernels (Cortex-M55), run in QEMU: what stands for their coverage.

QEMU does not say which blocks ran, and gcov has no counters there. So each source of these kernels
has at least one fault here (tests/benchmarks/test_mutations.py) that a test of `make test` notices.
"""

from __future__ import annotations

import functools

from benchmarks.mutations.fault import Fault, random_operators

_KERNELS = "tflm_custom_ops/kernels"
_STORE = f"{_KERNELS}/vit_store_mve.S"
_STORE_C = f"{_KERNELS}/vit_store_mve.c"
_SOFTMAX_C = f"{_KERNELS}/vit_softmax_mve.c"
_SOFTMAX = f"{_KERNELS}/vit_softmax_mve.S"
_GEMM = f"{_KERNELS}/vit_gemm_mve.S"
_EXPONENTIALS = f"{_KERNELS}/vit_exponentials_mve.S"
_NORM = f"{_KERNELS}/vit_norm_mve.S"
_NORM_H = f"{_KERNELS}/vit_norm_mve.h"
_FOLDER = "tests/tflm_custom_ops/mve"
_PER_PRODUCT = (f"{_FOLDER}/test_mve_kernels.py::test_instructions_per_product",)
_MANY_TOKENS = (f"{_FOLDER}/test_mve_kernels.py::test_attention_of_many_tokens",)
_CONVOLUTIONS = (f"{_FOLDER}/test_mve_convolutions.py::test_random_convolutions",)
_BUILTINS = f"{_FOLDER}/test_mve_builtins.py::test_builtins_equal_their_definition"
_ADD = (f"{_BUILTINS}[vit_add-add]",)
_DEPTHWISE = (f"{_BUILTINS}[vit_depthwise_conv_2d-depthwise_conv_2d]",)
_MAX_POOL = (f"{_BUILTINS}[vit_pool_2d-max_pool]",)
_random = functools.partial(random_operators, f"{_FOLDER}/test_mve_kernels.py")

FAULTS: tuple[Fault, ...] = (
    Fault(
        "channels turned over the caller's registers",
        _GEMM,
        "2 * 4 * VIT_MVE_ROWS + 12",
        "12",
        _random("PATCH_EMBED"),
    ),
    Fault(
        "carry of a residual sum",
        _STORE,
        "vshr.u32 q0, q0, #31",
        "vshr.s32 q0, q0, #31",
        _random("MLP"),
    ),
    Fault(
        "a residual sum rounded at another bit",
        _STORE,
        "mov r6, #0x80000000",
        "mov r6, #0x40000000",
        _random("MLP"),
    ),
    Fault("no layer has a shift", _STORE, "  beq 3f\n", "  b 3f\n", _random("LINEAR")),
    Fault(
        "values of rows that are not there",
        _STORE,
        "  vctp.32 r2\n",
        "  movs r2, #4\n  vctp.32 r2\n",
        _random("ATTENTION"),
    ),
    Fault("what GNU as makes of VQSHRN", _NORM, "0xee980f40", "0xee980f41", _random("LAYER_NORM")),
    Fault(
        "odd elements twice", _NORM, "vmovlb.s16 q0, q0", "vmovlt.s16 q0, q0", _random("LAYER_NORM")
    ),
    Fault(
        "exponentials of the last eight counted again",
        _EXPONENTIALS,
        "  vctp.16 r5\n  vpst\n  vmovt.i32 q2, #0\n",
        "",
        _random("ATTENTION"),
    ),
    Fault(
        "maximum without the last scores",
        _EXPONENTIALS,
        "add r12, r1, r8, lsl #2",
        "mov r12, r1",
        _random("ATTENTION"),
    ),
    Fault(
        "division rounded down", _EXPONENTIALS, "vadd.i32 q0, q0, r4", "nop", _random("ATTENTION")
    ),
    Fault("the first tile's weights again", _GEMM, ".set w, w + \\tile", ".set w, w", _PER_PRODUCT),
    Fault(
        "sums of two channels in one", _GEMM, "  sub r8, r8, r0, asr #4\n", "", _random("LINEAR")
    ),
    Fault(
        "the second channel's weights for the first",
        _GEMM,
        "\\op r6, q3, q5\n  .endif",
        "\\op r6, q3, q4\n  .endif",
        _random("LINEAR"),
    ),
    Fault(
        "no zeros behind the inputs",
        "tflm_custom_ops/kernels/vit_linear_rows_mve.c",
        "if (!g->copies && size == count) return;",
        "if (!g->copies) return;",
        _random("LINEAR"),
    ),
    Fault(
        "hidden units from one that is no multiple of 4",
        "tflm_custom_ops/kernels/vit_linear_rows_mve.c",
        "lead_of(&group) || ",
        "",
        _random("MLP"),
    ),
    Fault(
        "two channels from the values of one",
        _SOFTMAX,
        "vmladava.s16 r12, q2, q5",
        "vmladava.s16 r12, q2, q4",
        _random("ATTENTION"),
    ),
    Fault(
        "many tokens: the third row's second channel",
        _SOFTMAX,
        "vmladava.s16 r10, q2, q4",
        "vmladava.s16 r10, q1, q4",
        _MANY_TOKENS,
    ),
    Fault(
        "queries' zero point stays in the scores",
        _SOFTMAX_C,
        "corrections[j] = -zero_point * sum;",
        "corrections[j] = 0 * sum;",
        _MANY_TOKENS,
    ),
    Fault(
        "last channels of a context round down",
        _SOFTMAX_C,
        "vaddq_n_s32(v, q->bias + 32768)",
        "vaddq_n_s32(v, q->bias)",
        _random("ATTENTION"),
    ),
    Fault(
        "few tokens: no end of the table",
        _SOFTMAX_C,
        "t = vminq_u16(t, vdupq_n_u16(8191));",
        "t = vminq_u16(t, vdupq_n_u16(65535));",
        _random("ATTENTION"),
    ),
    Fault(
        "carry of a residual sum in C",
        _STORE_C,
        "vaddq_n_s32(vmulq_s32(a, m), INT32_MIN)",
        "vmulq_s32(a, m)",
        _random("MLP"),
    ),
    Fault(
        "a channel before a call's first is stored",
        _STORE_C,
        "return c < begin ? some & ~vctp32q((uint32_t)(begin - c)) : some;",
        "(void)begin;\n  return some;",
        _random("ATTENTION"),
    ),
    Fault(
        "sums of 16 times a product as they are",
        _STORE_C,
        "has_16 ? vshrq_n_s32(sum, 4) : sum",
        "has_16 ? vshrq_n_s32(sum, 3) : sum",
        _CONVOLUTIONS,
    ),
    Fault(
        "keys: the second row of a pair",
        _STORE_C,
        "row[1][c - to->n.begin] = sums[4 * (c - to->first) + r + 1];",
        "row[1][c - to->n.begin] = sums[4 * (c - to->first) + r];",
        _random("ATTENTION"),
    ),
    Fault(
        "columns behind the image are 0",
        "tflm_custom_ops/builtins/vit_conv_2d_mve.h",
        "vit_mve_fill(to, (w->kernel_width - end) * channels, p->input_zero_point)",
        "vit_mve_fill(to, (w->kernel_width - end) * channels, 0)",
        _CONVOLUTIONS,
    ),
    Fault(
        "second operand of a sum without its headroom",
        "tflm_custom_ops/builtins/vit_add_mve.h",
        "  fb.left += headroom;\n",
        "",
        _ADD,
    ),
    Fault(
        "weights from the kernel's first column",
        "tflm_custom_ops/builtins/vit_windows_mve.h",
        "(ky * w->kernel_width + patch->columns.begin) * channels",
        "(ky * w->kernel_width) * channels",
        _DEPTHWISE,
    ),
    Fault(
        "a maximum without its clamp",
        "tflm_custom_ops/builtins/vit_windows_mve.h",
        "    largest = vmaxq_s8(largest, vdupq_n_s8((int8_t)p->out_min));\n",
        "",
        _MAX_POOL,
    ),
    Fault(
        "halves of negative numbers are rounded up",
        f"{_KERNELS}/vit_rescale_mve.h",
        "less = vshrq_n_s32(vandq_s32(high, right), 31);",
        "less = vandq_s32(vshrq_n_s32(vandq_s32(high, right), 31), zero);",
        _DEPTHWISE,
    ),
    Fault(
        "last elements of a norm round down",
        _NORM_H,
        "vrmulhq_s32(vrmulhq_s32(t, n.reciprocal), gamma)",
        "vmulhq_s32(vrmulhq_s32(t, n.reciprocal), gamma)",
        _random("LAYER_NORM"),
    ),
    Fault(
        "squares of 16 bits of even elements alone",
        _NORM_H,
        "vldrhq_z_s16(x, vctp16q((uint32_t)left))",
        "vldrhq_z_s16(x, vctp16q((uint32_t)left & ~1u))",
        _random("LAYER_NORM"),
    ),
    Fault(
        "table by signed bytes",
        "tflm_custom_ops/kernels/vit_lookup_mve.h",
        "vdupq_n_u8(128)",
        "vdupq_n_u8(0)",
        _random("GELU"),
    ),
    Fault(
        "the last input of an odd number is not copied",
        f"{_KERNELS}/vit_store_mve.h",
        "vctp8q((uint32_t)count)",
        "vctp8q((uint32_t)count & ~1u)",
        _random("LINEAR"),
    ),
)
