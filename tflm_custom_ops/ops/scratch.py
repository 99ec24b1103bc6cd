# SPDX-License-Identifier: Apache-2.0
"""Sizes of the regions that the kernels' scratch consists of (kernels/vit_layout.h).

Each operator states its scratch with these; tests compare them with the C functions.
"""

from __future__ import annotations

ALIGNMENT = 16  # bytes, of a scratch buffer and of every region in it
ROW_GROUP = 2  # rows that a matrix core computes together
EXPANSION_INPUTS = 768  # of a layer whose weights are expanded at a time (kernels/vit_gemm.h)
EXPANSION_AHEAD_BYTES = 12


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


def expansion(inputs: int) -> int:
    """Bytes of the weights that the DSP core makes ready for a layer of so many inputs.

    Three int16 streams of four channels, and the words that the core loads ahead
    (kernels/vit_gemm.h, VitExpansion).
    """
    return align(6 * min(even(inputs), EXPANSION_INPUTS) + EXPANSION_AHEAD_BYTES)
