# SPDX-License-Identifier: Apache-2.0
"""Faults of the kernels in C, which every core can run."""

from __future__ import annotations

from benchmarks.mutations.fault import Fault

_FILE = "tests/tflm_custom_ops/kernels/test_kernels_match_reference.py"


def _random(kind: str) -> tuple[str, ...]:
    """Random operators of a kind."""
    return (f"{_FILE}::test_random_operators[{kind}]",)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "4 bits: a number's sign",
        "tflm_custom_ops/kernels/vit_quads4.c",
        "(int16_t)((uint16_t)",
        "(uint16_t)((uint16_t)",
        _random("MLP"),
    ),
    Fault(
        "4 bits: the halves of a quad swapped",
        "tflm_custom_ops/kernels/vit_quads4.c",
        "c & 2 ? 0 : 8",
        "c & 2 ? 8 : 0",
        _random("LINEAR"),
    ),
    Fault(
        "rounds to zero",
        "tflm_custom_ops/kernels/vit_math.h",
        "INT64_C(0x80000000)) >> 32",
        "INT64_C(0)) >> 32",
        _random("LINEAR"),
    ),
    Fault(
        "residual rounds down",
        "tflm_custom_ops/kernels/vit_math.h",
        "+ 0x80000000u +",
        "+ 0 +",
        _random("MLP"),
    ),
    Fault(
        "clamp ignored",
        "tflm_custom_ops/kernels/vit_store.c",
        "p->out_min == -128 &&",
        "1 ||",
        _random("LINEAR"),
    ),
    Fault(
        "high channel off by the carry",
        "tflm_custom_ops/kernels/vit_gemm_reference.c",
        "(int16_t)((w) - (low)) >> 8",
        "(w) >> 8",
        _random("LINEAR"),
    ),
    Fault(
        "last row of a group lost",
        "tflm_custom_ops/kernels/vit_gemm_reference.c",
        "const int16_t* a1 = count > 1 ? a0 + a_stride : a0;",
        "const int16_t* a1 = a0;",
        _random("MLP"),
    ),
    Fault(
        "variance shifted by one",
        "tflm_custom_ops/kernels/vit_norm_math.h",
        "((bits + 1) >> 1) - 16",
        "(bits >> 1) - 16",
        _random("LAYER_NORM"),
    ),
    Fault(
        "last score not in the maximum",
        "tflm_custom_ops/kernels/vit_softmax.c",
        "for (int32_t j = 1; j < tokens; ++j) maximum",
        "for (int32_t j = 1; j < tokens - 1; ++j) maximum",
        _random("ATTENTION"),
    ),
    Fault(
        "zero point of the values",
        "tflm_custom_ops/kernels/vit_softmax.c",
        "vit_mul32(head->value_zero_point, total)",
        "vit_mul32(0 * head->value_zero_point, total)",
        _random("ATTENTION"),
    ),
    Fault(
        "keys of a pair swapped",
        "tflm_custom_ops/kernels/vit_store.c",
        "if (row & 1) {",
        "if (!(row & 1)) {",
        _random("ATTENTION"),
    ),
    Fault(
        "second tile reads the first",
        "tflm_custom_ops/ops/mlp/vit_mlp.c",
        "vit_stream_row(x, bits, token, features),",
        "vit_stream_row(x, bits, 0, features),",
        _random("MLP"),
    ),
    Fault(
        "the second row of patches begins in the first",
        "tflm_custom_ops/ops/patch_merge/vit_patch_merge.c",
        "from += (p->stride - 1) * (p->grid_width * run);",
        "",
        _random("PATCH_MERGE"),
    ),
    Fault(
        "padding is 0, not the zero point",
        "tflm_custom_ops/ops/patch_embed/vit_patch_embed.c",
        "] = (VitInput)value;",
        "] = (VitInput)(0 * value);",
        _random("PATCH_EMBED"),
    ),
    Fault(
        "table off by one",
        "tflm_custom_ops/ops/gelu/vit_gelu.c",
        "params->lut + 128",
        "params->lut + 127",
        _random("GELU"),
    ),
)
