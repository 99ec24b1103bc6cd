# SPDX-License-Identifier: Apache-2.0
"""Sizes of the regions that the kernels' scratch consists of (kernels/vit_layout.h).

Each operator states its scratch with these; tests compare them with the C functions.
"""

from __future__ import annotations

from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION

ALIGNMENT = 16  # bytes, of a scratch buffer and of every region in it
ROW_GROUP = 2  # rows that a matrix core computes together
EXPANSION_AHEAD_BYTES = 12
EXPANSION_INPUT_BYTES = 6


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


def expansion(inputs: int, most: int = MAX_EXPANSION) -> int:
    """Bytes of the weights that the DSP core makes ready for a layer of so many inputs.

    Three int16 streams of four channels, and the words that the core loads ahead
    (kernels/vit_gemm.h, VitExpansion).

    Args:
      most: inputs at a time; more are multiplied in parts.
    """
    return align(EXPANSION_INPUT_BYTES * min(even(inputs), most) + EXPANSION_AHEAD_BYTES)


def expanded_inputs(room: int) -> int:
    """Inputs at a time that ``room`` bytes have place for, even."""
    return min((room - EXPANSION_AHEAD_BYTES) // EXPANSION_INPUT_BYTES // 2 * 2, MAX_EXPANSION)
