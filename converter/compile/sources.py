# SPDX-License-Identifier: Apache-2.0
"""Which C and assembly files a core's firmware, or the host library, is built from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tflm_custom_ops import sources

_ROOT = Path(__file__).resolve().parents[2]
BUILTINS = _ROOT / "tflm_custom_ops" / "builtins"
RUNTIME = Path(__file__).resolve().parent / "runtime"


@dataclasses.dataclass(frozen=True)
class Core:
    """A processor core; ``dsp`` tells whether it has the Armv7E-M DSP instructions."""

    name: str
    dsp: bool


CORES = (
    Core("host", dsp=False),
    Core("cortex-m7", dsp=True),
    Core("cortex-m4", dsp=True),
    Core("cortex-m3", dsp=False),
    Core("cortex-m0plus", dsp=False),
)
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
      core: a name in `CORES`.

    Raises:
      ValueError: unknown core.
    """
    known = {c.name: c for c in CORES}
    if core not in known:
        raise ValueError(f"core: got {core!r}, expected one of {', '.join(known)}")
    found = [*sources.kernel_files(".c"), *sorted(BUILTINS.glob("*.c"))]
    chosen = [p for p in found if p.name not in _NOT_FOR_FIRMWARE]
    if known[core].dsp:
        chosen += sources.kernel_files(".S")
    return chosen
