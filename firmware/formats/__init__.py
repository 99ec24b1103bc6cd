# SPDX-License-Identifier: Apache-2.0
"""Project formats: what a build system needs beside the project's own files.

A format is one module with `files(project, use) -> tuple[ProjectFile, ...]` and a line in FORMATS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from firmware.elf import MemoryUse
from firmware.errors import FirmwareError
from firmware.formats import cmake, stm32cubeide
from firmware.project import Project, ProjectFile

FormatFiles = Callable[[Project, MemoryUse | None], tuple[ProjectFile, ...]]


@dataclasses.dataclass(frozen=True)
class Format:
    """A build system: its name, the files it adds, and how a user builds, in one line."""

    name: str
    files: FormatFiles
    next_step: str


FORMATS = (
    Format("cmake", cmake.files, "cmake --preset release && cmake --build --preset release"),
    Format(
        "stm32cubeide",
        stm32cubeide.files,
        "in STM32CubeIDE: File > Import > Existing Projects into Workspace",
    ),
)
FORMAT_NAMES = tuple(entry.name for entry in FORMATS)


def get_format(name: str) -> Format:
    """The format called `name`; FirmwareError lists those that exist."""
    for entry in FORMATS:
        if entry.name == name:
            return entry
    raise FirmwareError(f"unknown format {name!r}; expected one of {', '.join(FORMAT_NAMES)}")
