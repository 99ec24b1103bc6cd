# SPDX-License-Identifier: Apache-2.0
"""Faults planted in copies of the kernels are caught by the comparison with the reference."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.tflm_custom_ops.kernels import comparison
from tflm_custom_ops import host_library
from tflm_custom_ops.host_library import HostLibrary
from tflm_custom_ops.ops import OpKind
from tflm_custom_ops.sources import kernel_files

SEEDS = 60


@dataclasses.dataclass(frozen=True)
class Fault:
    """One replacement in one source file, and an operator that must notice."""

    file: str
    before: str
    after: str
    kind: OpKind


FAULTS = {
    "4 bits: a number's sign": Fault(
        "vit_quads4.c", "(int16_t)((uint16_t)", "(uint16_t)((uint16_t)", OpKind.MLP
    ),
    "4 bits: the halves of a quad swapped": Fault(
        "vit_quads4.c", "c & 2 ? 0 : 8", "c & 2 ? 8 : 0", OpKind.LINEAR
    ),
    "rounds to zero": Fault(
        "vit_math.h", "INT64_C(0x80000000)) >> 32", "INT64_C(0)) >> 32", OpKind.LINEAR
    ),
    "residual rounds down": Fault("vit_math.h", "+ 0x80000000u +", "+ 0 +", OpKind.MLP),
    "clamp ignored": Fault("vit_store.c", "p->out_min == -128 &&", "1 ||", OpKind.LINEAR),
    "high channel off by the carry": Fault(
        "vit_gemm_reference.c", "(int16_t)((w) - (low)) >> 8", "(w) >> 8", OpKind.LINEAR
    ),
    "last row of a group lost": Fault(
        "vit_gemm_reference.c",
        "const int16_t* a1 = count > 1 ? a0 + a_stride : a0;",
        "const int16_t* a1 = a0;",
        OpKind.MLP,
    ),
    "square root of 15 bits": Fault(
        "vit_norm_math.h",
        "for (uint32_t bit = 0x4000; bit;",
        "for (uint32_t bit = 0x4000; bit > 1;",
        OpKind.LAYER_NORM,
    ),
    "variance shifted by one": Fault(
        "vit_norm_math.h", "((bits + 1) >> 1) - 16", "(bits >> 1) - 16", OpKind.LAYER_NORM
    ),
    "last score not in the maximum": Fault(
        "vit_softmax.c",
        "for (int32_t j = 1; j < tokens; ++j) maximum",
        "for (int32_t j = 1; j < tokens - 1; ++j) maximum",
        OpKind.ATTENTION,
    ),
    "zero point of the values": Fault(
        "vit_softmax.c", "vit_mul32(head->value_zero_point, total)", "0", OpKind.ATTENTION
    ),
    "keys of a pair swapped": Fault(
        "vit_store.c", "if (row & 1) {", "if (!(row & 1)) {", OpKind.ATTENTION
    ),
    "second tile reads the first": Fault(
        "vit_mlp.c",
        "vit_stream_row(x, bits, token, features),",
        "vit_stream_row(x, bits, 0, features),",
        OpKind.MLP,
    ),
    "the second row of patches begins in the first": Fault(
        "vit_patch_merge.c",
        "from += (p->stride - 1) * (p->grid_width * run);",
        "",
        OpKind.PATCH_MERGE,
    ),
    "padding is 0, not the zero point": Fault(
        "vit_patch_embed.c",
        "] = (VitInput)value;",
        "] = (VitInput)(0 * value);",
        OpKind.PATCH_EMBED,
    ),
    "table off by one": Fault(
        "vit_gelu.c",
        "params->lut + 128",
        "params->lut + 127 + (params->lut[0] > 127)",
        OpKind.GELU,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    for path in kernel_files(".c", ".h"):
        text = path.read_text()
        if path.name == fault.file:
            assert text.count(fault.before) == 1, f"{fault.file} no longer has {fault.before!r}"
            text = text.replace(fault.before, fault.after)
        (tmp_path / path.name).write_text(text)
    library = HostLibrary(host_library.build(tmp_path, ("-std=c11", "-O1", "-w")))
    for seed in range(SEEDS):
        try:
            if comparison.mismatches_of_seed(library, fault.kind, seed):
                return
        except AssertionError:
            return
    pytest.fail(f"{fault.kind.name}: no difference in {SEEDS} random operators")
