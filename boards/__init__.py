# SPDX-License-Identifier: Apache-2.0
"""Boards as data. A module in this package with a `BOARD` is a board; nothing else to register.

A board that is not here is a JSON file with its regions: boards/board_file.py.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from boards.board import Board, Region, RegionKind
from boards.board_file import SUFFIX, load_board

__all__ = ["BOARD_HELP", "Board", "Region", "RegionKind", "board_names", "get_board"]

_NOT_BOARDS = frozenset(("board", "board_file", "generic"))


def board_names() -> tuple[str, ...]:
    """Names of all boards, sorted."""
    return tuple(
        sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_BOARDS)
    )


def get_board(name: str) -> Board:
    """The board called `name`, or described by the JSON file of that name.

    Raises:
      ValueError: no such board (the message lists those that exist), or a mistake in the file.
      OSError: the file can not be read.
    """
    if name.endswith(SUFFIX):
        return load_board(Path(name))
    if name not in board_names():
        raise ValueError(
            f"unknown board {name!r}; expected one of {', '.join(board_names())}, or a board's "
            f"{SUFFIX} file (docs/boards.md)"
        )
    board = importlib.import_module(f"{__name__}.{name}").BOARD
    assert isinstance(board, Board)
    return board


BOARD_HELP = f"Board: {', '.join(board_names())}, or a {SUFFIX} file (docs/boards.md)."
