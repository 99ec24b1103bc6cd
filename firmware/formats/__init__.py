# SPDX-License-Identifier: Apache-2.0
"""Project formats: what a build system needs beside the project's own files.

A format is one module with `files(project, use) -> tuple[ProjectFile, ...]` and a line in FORMATS.
It returns every file of the exported project: the project's own, and those of the build system.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from firmware.elf import MemoryUse
from firmware.errors import FirmwareError
from firmware.formats import cmake, mbed, stm32cubeide
from firmware.project import Project, ProjectFile

FormatFiles = Callable[[Project, MemoryUse | None], tuple[ProjectFile, ...]]


@dataclasses.dataclass(frozen=True)
class Format:
    """A build system: name, variant, all files of an exported project, and the next step."""

    name: str
    files: FormatFiles
    next_step: str
    variant: str = ""


FORMATS = (
    Format("cmake", cmake.files, "cmake --preset release && cmake --build --preset release"),
    Format(
        "stm32cubeide",
        stm32cubeide.files,
        "in STM32CubeIDE: File > Import > Existing Projects into Workspace",
    ),
    Format("mbed", mbed.files, "see README.md: clone Mbed CE beside it, then cmake"),
    Format("mbed", mbed.legacy_files, "mbed-tools deploy && mbed-tools compile", "legacy"),
)
FORMAT_NAMES = tuple(entry.name for entry in FORMATS if not entry.variant)
VARIANTS = tuple(sorted({entry.variant for entry in FORMATS}))


def get_format(name: str, variant: str = "") -> Format:
    """The format called `name` in a variant; FirmwareError lists those that exist."""
    for entry in FORMATS:
        if (entry.name, entry.variant) == (name, variant):
            return entry
    if name in FORMAT_NAMES:
        raise FirmwareError(f"--format={name} has no variant {variant!r}")
    raise FirmwareError(f"unknown format {name!r}; expected one of {', '.join(FORMAT_NAMES)}")
