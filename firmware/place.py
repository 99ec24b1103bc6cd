# SPDX-License-Identifier: Apache-2.0
"""Where an export may go: a new folder, or that of another export."""

from __future__ import annotations

import os
from pathlib import Path

from firmware.errors import FirmwareError

# One of them is in every folder that an export makes.
_MARKS = ("board/board_config.h", "kernels/vit_types.h", "src/kernels/vit_types.h")


def _expect_replaceable(out: Path) -> None:
    """FirmwareError when a folder holds what no export made: it would be gone, whole."""
    first = min((path.name for path in out.iterdir()), default=None)
    if first is not None and not any((out / mark).is_file() for mark in _MARKS):
        raise FirmwareError(
            f"{out} is no folder of an export (there is {first} in it); --overwrite replaces the "
            "whole folder: choose another --out"
        )
    if (out / ".git").exists():
        raise FirmwareError(
            f"{out} has a history of its own (.git), which --overwrite would remove: choose "
            "another --out, and copy"
        )


def expect_free(out: Path, overwrite: bool) -> None:
    """FirmwareError when `out` can not become the project's folder."""
    if out.exists() and not out.is_dir():
        raise FirmwareError(f"{out} is a file, expected a folder")
    if out.exists() and not overwrite:
        raise FirmwareError(f"{out} exists; choose another --out or give --overwrite")
    if out.exists():
        _expect_replaceable(out)
    for parent in out.absolute().parents:
        if not parent.exists():
            continue
        if not parent.is_dir():
            raise FirmwareError(f"cannot make {out}: {parent} is a file, expected a folder")
        if not os.access(parent, os.W_OK):
            raise FirmwareError(f"cannot make {out}: no permission to write into {parent}")
        return
