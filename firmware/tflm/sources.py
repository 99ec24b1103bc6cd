# SPDX-License-Identifier: Apache-2.0
"""Our sources that a project over TFLM has beside those of every project."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from converter.runtimes.tflm import build
from tflm_custom_ops.sources import KERNELS, kernel_files

_OPERATOR_SOURCES = build.PACKAGE
_OWN_SOURCES = Path(__file__).parents[1] / "src" / "tflm"
# Not part of a device: the wheel's entry points, its ABI probe, and tests.
_NOT_FOR_DEVICE = re.compile(r"wheel_entry|abi_|test|BUILD")
PROJECT_INCLUDE = PurePosixPath("tflm")


def operator_files() -> list[tuple[PurePosixPath, Path]]:
    """(path in the project, source) of our TFLM operators and of the headers they include."""
    files = []
    for origin in sorted(_OPERATOR_SOURCES.iterdir()):
        if origin.suffix in (".cc", ".h") and not _NOT_FOR_DEVICE.search(origin.name):
            files.append((PROJECT_INCLUDE / "tflm_custom_ops/tflm" / origin.name, origin))
    for origin in kernel_files(".h"):
        files.append((PROJECT_INCLUDE / "tflm_custom_ops/kernels" / origin.name, origin))
    return files


def interpreter_files() -> tuple[Path, ...]:
    """The interpreter with its planner and profiler, which firmware and libraries share."""
    return tuple(sorted(_OWN_SOURCES.glob("model_interpreter.*")))


def parser_source() -> Path:
    """The parser of serialized options, which only the interpreter needs."""
    return KERNELS / "vit_parse.c"
