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
    "untested_board_names",
]

_FOLDER = Path(__file__).parent
_QEMU_FOLDER = _FOLDER / "qemu"
_UNTESTED_FOLDER = _FOLDER / "untested"


def board_names() -> tuple[str, ...]:
    """Names of the built-in boards, sorted."""
    return _names_in(_FOLDER)


def _names_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob(f"*{SUFFIX}")))


def qemu_board_names() -> tuple[str, ...]:
    """Names of the boards that only QEMU has, sorted."""
    return _names_in(_QEMU_FOLDER)


def untested_board_names() -> tuple[str, ...]:
    """Names of boards written from their manuals, on which and like which nothing ran, sorted."""
    return _names_in(_UNTESTED_FOLDER)


def get_board(name: str) -> Board:
    """The board called `name`, or described by the JSON file of that name.

    Raises:
      ValueError: no such board (the message lists those that exist), or a mistake in the file.
      OSError: the file can not be read.
    """
    if name.endswith(SUFFIX):
        return load_board(Path(name))
    for folder in (_QEMU_FOLDER, _UNTESTED_FOLDER):
        if name in _names_in(folder):
            return load_board(folder / f"{name}{SUFFIX}")
    if name not in board_names():
        raise ValueError(
            f"unknown board {name!r}; expected one of {', '.join(board_names())}, in QEMU "
            f"{', '.join(qemu_board_names())}, untested {', '.join(untested_board_names())}, or a "
            f"board's {SUFFIX} file (docs/boards.md)"
        )
    return load_board(_FOLDER / f"{name}{SUFFIX}")


BOARD_HELP = f"Board: {', '.join(board_names())}, or a {SUFFIX} file (docs/boards.md)."
