# SPDX-License-Identifier: Apache-2.0
"""The cross compiler's flags as data, the same in a direct build and in every export."""

from __future__ import annotations

import dataclasses


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
