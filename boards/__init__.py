# SPDX-License-Identifier: Apache-2.0
"""Boards as data: a JSON file in this folder is a built-in board; nothing else to register.

A user's board is such a file anywhere else. Every command with `--board` takes either.
"""

from __future__ import annotations

from pathlib import Path

from boards.board import Board
from boards.board_file import SUFFIX, load_board
from boards.memory import Region, RegionKind, Use

__all__ = [
    "BOARD_HELP",
    "Board",
    "Region",
    "RegionKind",
    "Use",
    "board_names",
    "get_board",
    "qemu_board_names",
]

_FOLDER = Path(__file__).parent
_QEMU_FOLDER = _FOLDER / "qemu"


def board_names() -> tuple[str, ...]:
    """Names of the built-in boards, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob(f"*{SUFFIX}")))


def qemu_board_names() -> tuple[str, ...]:
    """Names of the boards that only QEMU has, sorted."""
    return tuple(sorted(path.stem for path in _QEMU_FOLDER.glob(f"*{SUFFIX}")))


def get_board(name: str) -> Board:
    """The board called `name`, or described by the JSON file of that name.

    Raises:
      ValueError: no such board (the message lists those that exist), or a mistake in the file.
      OSError: the file can not be read.
    """
    if name.endswith(SUFFIX):
        return load_board(Path(name))
    if name in qemu_board_names():
        return load_board(_QEMU_FOLDER / f"{name}{SUFFIX}")
    if name not in board_names():
        raise ValueError(
            f"unknown board {name!r}; expected one of {', '.join(board_names())}, in QEMU "
            f"{', '.join(qemu_board_names())}, or a board's {SUFFIX} file (docs/boards.md)"
        )
    return load_board(_FOLDER / f"{name}{SUFFIX}")


BOARD_HELP = f"Board: {', '.join(board_names())}, or a {SUFFIX} file (docs/boards.md)."
