# SPDX-License-Identifier: Apache-2.0
"""The kernels for Cortex-M, compiled once for all tests: whatever runs them sees the warnings too.

Warnings change no code, so that the emulator runs what benchmarks and firmware measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.kernels import emulator
from boards.core import Core

FLAGS = (
    *emulator.OPTIMISATION,
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
    "-Wvla",
    "-Wshadow",
)


def build(
    core: Core = emulator.CORTEX_M7,
    sources: Sequence[Path] | None = None,
    defines: Sequence[str] = (),
) -> Path:
    """The kernels as a bare ELF for one core."""
    return emulator.build(core, sources, defines, FLAGS)


def objects(core: Core = emulator.CORTEX_M7, defines: Sequence[str] = ()) -> list[Path]:
    """The object files of :func:`build`."""
    return emulator.objects(core, None, defines, FLAGS)
