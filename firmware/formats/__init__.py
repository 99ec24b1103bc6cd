# SPDX-License-Identifier: Apache-2.0
"""Project formats: what a build system needs beside the project's own files.

A format is one module with `files(project, use) -> tuple[ProjectFile, ...]` and a line in FORMATS.
It returns every file of the exported project: the project's own, and those of the build system. One
of a library (firmware.library) has `files(library)` and a line in LIBRARY_FORMATS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from firmware.elf import MemoryUse
from firmware.errors import FirmwareError
from firmware.formats import (
    arduino,
    cmake,
    csolution,
    esp_idf,
    library_cmake,
    mbed,
    platformio,
    stm32cubeide,
    zephyr,
)
from firmware.library import Library, Optimization
from firmware.model import RUNTIME_COMPILED, RUNTIME_TFLM
from firmware.project import Project, ProjectFile

FormatFiles = Callable[[Project, MemoryUse | None], tuple[ProjectFile, ...]]


@dataclasses.dataclass(frozen=True)
class Format:
    """A build system: name, variant, all files of an exported project, and the next step."""

    name: str
    files: FormatFiles
    next_step: str
    variant: str = ""


@dataclasses.dataclass(frozen=True)
class LibraryFormat:
    """What builds a library: name, all files of an exported folder, the next step, and options.

    `runtimes` are those whose libraries it can build; only CMake finds TFLM.
    """

    name: str
    files: Callable[[Library], tuple[ProjectFile, ...]]
    next_step: str
    optimization: Optimization
    runtimes: tuple[str, ...] = (RUNTIME_COMPILED,)


_MIXED = Optimization()  # as in firmware projects
_SPEED = Optimization("-O3", "-O3")  # where all files of a library have the same options
_SIZE = Optimization("-Os", "-Os")  # what most Arduino cores choose
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
LIBRARY_FORMATS = (
    LibraryFormat(
        "library",
        library_cmake.files,
        "add_subdirectory() it, and link its target",
        _MIXED,
        (RUNTIME_COMPILED, RUNTIME_TFLM),
    ),
    LibraryFormat("zephyr", zephyr.files, "name it in EXTRA_ZEPHYR_MODULES", _MIXED),
    LibraryFormat(
        "arduino", arduino.files, "put it into your sketchbook's libraries folder", _SIZE
    ),
    LibraryFormat("platformio", platformio.files, "put it into lib/ of your project", _SPEED),
    LibraryFormat("csolution", csolution.files, "name both layers in your cproject.yml", _SPEED),
    LibraryFormat("esp_idf", esp_idf.files, "put it into components/ of your project", _SPEED),
)
PROJECT_NAMES = tuple(entry.name for entry in FORMATS if not entry.variant)
FORMAT_NAMES = (*PROJECT_NAMES, *(entry.name for entry in LIBRARY_FORMATS))
VARIANTS = tuple(sorted({entry.variant for entry in FORMATS}))


def get_library_format(name: str) -> LibraryFormat | None:
    """The library's format of that name, or None."""
    return next((entry for entry in LIBRARY_FORMATS if entry.name == name), None)


def get_format(name: str, variant: str = "") -> Format:
    """The format called `name` in a variant; FirmwareError lists those that exist."""
    for entry in FORMATS:
        if (entry.name, entry.variant) == (name, variant):
            return entry
    if name in FORMAT_NAMES:
        raise FirmwareError(f"--format={name} has no variant {variant!r}")
    raise FirmwareError(f"unknown format {name!r}; expected one of {', '.join(FORMAT_NAMES)}")
