# SPDX-License-Identifier: Apache-2.0
"""Boards as data. A module in this package with a `BOARD` is a board; nothing else to register."""

from __future__ import annotations

import importlib
import pkgutil

from firmware.boards.board import Board, Region, RegionKind

__all__ = ["Board", "Region", "RegionKind", "board_names", "get_board"]


def board_names() -> tuple[str, ...]:
    """Names of all boards, sorted."""
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "board")
    )


def get_board(name: str) -> Board:
    """The board called `name`; ValueError lists the boards that exist."""
    if name not in board_names():
        raise ValueError(f"unknown board {name!r}; expected one of {', '.join(board_names())}")
    board = importlib.import_module(f"{__name__}.{name}").BOARD
    assert isinstance(board, Board)
    return board
