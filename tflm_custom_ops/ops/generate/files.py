# SPDX-License-Identifier: Apache-2.0
"""Which files are generated."""

from __future__ import annotations

from pathlib import Path

from tflm_custom_ops.ops.generate import docs, tflm_glue
from tflm_custom_ops.ops.generate.kernels_h import kernels_header
from tflm_custom_ops.ops.generate.parser_c import parser_header, parser_source
from tflm_custom_ops.ops.generate.types_h import types_header


def same_text(a: str, b: str) -> bool:
    """Whether two texts differ in line breaks and spaces at most, which clang-format decides."""
    first, second = ("".join(text.replace("//", "").split()) for text in (a, b))
    return first == second


def generated_files(root: Path) -> dict[str, str]:
    """Path in the repository ``root`` and text of every generated file."""
    return {
        "tflm_custom_ops/kernels/vit_types.h": types_header(),
        "tflm_custom_ops/kernels/vit_parse.h": parser_header(),
        "tflm_custom_ops/kernels/vit_parse.c": parser_source(),
        "tflm_custom_ops/kernels/vit_kernels.h": kernels_header(),
        docs.PAGE: docs.page(root),
        "tflm_custom_ops/tflm/vit_tflm_ops.h": tflm_glue.header(),
        **{f"tflm_custom_ops/tflm/{name}": text for name, text in tflm_glue.sources().items()},
    }
