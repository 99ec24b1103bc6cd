# SPDX-License-Identifier: Apache-2.0
"""Sizes of the regions that the kernels' scratch consists of (kernels/vit_layout.h).

Each operator states its scratch with these; tests compare them with the C functions.
"""

from __future__ import annotations

ALIGNMENT = 16  # bytes, of a scratch buffer and of every region in it
ROW_GROUP = 3  # rows that a matrix core computes together


def align(size: int) -> int:
    """``size`` bytes rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def even(n: int) -> int:
    """``n`` rounded up to even."""
    return (n + 1) // 2 * 2


def row_capacity(rows: int) -> int:
    """``rows`` rounded up to whole row groups."""
    return -(-rows // ROW_GROUP) * ROW_GROUP


def area(rows: int, stride: int, element_bytes: int) -> int:
    """Bytes of a region of rows."""
    return align(rows * stride * element_bytes)


def wide(rows: int, features: int) -> int:
    """Bytes of int16 activation rows."""
    return area(rows, even(features), 2)
