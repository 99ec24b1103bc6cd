# SPDX-License-Identifier: Apache-2.0
"""Where the kernels are: shared C and assembly in kernels/, an operator's own in its folder."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
KERNELS = PACKAGE / "kernels"
OPERATORS = PACKAGE / "ops"


def kernel_files(*suffixes: str) -> list[Path]:
    """Files ``vit_*`` with one of the suffixes (".c", ".h", ".S"), by name; names are distinct."""
    folders = [KERNELS, *(path for path in OPERATORS.iterdir() if path.is_dir())]
    found = [
        path for folder in folders for suffix in suffixes for path in folder.glob(f"vit_*{suffix}")
    ]
    return sorted(found, key=lambda path: path.name)


def include_dirs() -> list[Path]:
    """Folders for the compiler's ``-I``; an operator's own headers lie beside its sources."""
    return [KERNELS]
