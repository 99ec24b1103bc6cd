# SPDX-License-Identifier: Apache-2.0
"""Which C and assembly files a core's firmware, or the host library, is built from."""

from __future__ import annotations

from pathlib import Path

from boards.core import CPU_OF
from tflm_custom_ops import sources

_ROOT = Path(__file__).resolve().parents[2]
BUILTINS = _ROOT / "tflm_custom_ops" / "builtins"
RUNTIME = Path(__file__).resolve().parent / "runtime"


HOST = "host"
# Not linked into firmware: reads serialized options, which the compiled runtime does offline.
_NOT_FOR_FIRMWARE = ("vit_parse.c",)


def include_dirs() -> list[Path]:
    """Directories for the compiler's ``-I``."""
    return [*sources.include_dirs(), BUILTINS]


def kernel_headers() -> list[Path]:
    """Headers that the kernels' files include."""
    return [*sources.kernel_files(".h"), *sorted(BUILTINS.glob("vit_*.h"))]


def kernel_sources(core: str) -> list[Path]:
    """Files to build with a compiled model: portable C, and the assembly of DSP cores.

    Args:
      core: "host", or a core of boards/core.py.

    Raises:
      ValueError: unknown core.
    """
    known = {HOST: False, **{cpu.name: cpu.dsp for cpu in CPU_OF.values()}}
    if core not in known:
        raise ValueError(f"core: got {core!r}, expected one of {', '.join(known)}")
    found = [*sources.kernel_files(".c"), *sorted(BUILTINS.glob("*.c"))]
    chosen = [p for p in found if p.name not in _NOT_FOR_FIRMWARE]
    if known[core]:
        chosen += sources.kernel_files(".S")
    return chosen
