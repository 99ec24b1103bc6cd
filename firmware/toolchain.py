# SPDX-License-Identifier: Apache-2.0
"""The cross compiler: its flags as data, and one clear line when it is missing."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from boards import Board
from firmware.errors import FirmwareError

PREFIX = "arm-none-eabi-"
_ERROR_MARKS = (
    "overflowed by",
    "error:",
    "undefined reference",
    "multiple definition",
    "syntax error",
    "Error:",
    "warning:",
)


@dataclasses.dataclass(frozen=True)
class BuildFlags:
    """Compiler and linker flags shared by the direct build and by every exported project.

    Attributes:
      warnings: warnings, as errors.
      common: code generation.
      c_standard: C language.
      cxx: C++ language; no exceptions, no type information, no heap.
      firmware_optimization: for start-up and application code.
      model_optimization: for the generated model.
      kernel_optimization: for the kernels.
      link: linker flags, without the linker script.
      libraries: libraries, last on the linker command line.
    """

    warnings: tuple[str, ...] = ("-Wall", "-Wextra", "-Werror", "-Wdouble-promotion", "-Wshadow")
    common: tuple[str, ...] = (
        "-ffunction-sections",
        "-fdata-sections",
        "-fno-common",
        "-fno-unwind-tables",
        "-fno-asynchronous-unwind-tables",
        "-g",
    )
    c_standard: str = "-std=c11"
    cxx: tuple[str, ...] = (
        "-std=c++17",
        "-fno-exceptions",
        "-fno-rtti",
        "-fno-threadsafe-statics",
    )
    firmware_optimization: str = "-Os"
    model_optimization: str = "-O2"
    kernel_optimization: str = "-O3"
    link: tuple[str, ...] = (
        "-nostartfiles",
        "-Wl,--gc-sections",
        "-Wl,--fatal-warnings",
        "-Wl,-z,noexecstack",
    )
    libraries: tuple[str, ...] = ("-lc", "-lgcc")


FLAGS = BuildFlags()


def find_tool(name: str) -> str:
    """Path of `arm-none-eabi-<name>`; FirmwareError with the package to install when missing."""
    path = shutil.which(PREFIX + name)
    if path is None:
        raise FirmwareError(
            f"{PREFIX}{name} not found; install the cross compiler "
            "(Debian: apt install gcc-arm-none-eabi)"
        )
    return path


def run_tool(command: Sequence[str], what: str, directory: Path | None = None) -> str:
    """Runs a tool in `directory`; returns its output, or raises with its first error line."""
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise FirmwareError(f"{what} failed: {first_error(result.stderr)}", details=result.stderr)
    return result.stdout


def first_error(text: str) -> str:
    """The line of a tool's output that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for mark in _ERROR_MARKS:
        for line in lines:
            if mark in line:
                return line
    return lines[-1] if lines else "no message"


def core_flags(board: Board) -> tuple[str, ...]:
    """The flags that select the board's core."""
    return board.core.compiler_flags()
