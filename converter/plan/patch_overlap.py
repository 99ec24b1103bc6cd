# SPDX-License-Identifier: Apache-2.0
"""Tokens that overwrite the image while the patch embedding still reads it: the proof.

The kernel reads the pixels of a few patches (``patch_tile``, even), then writes their tokens,
and goes on with the next few, strip (row of patches) after strip. Tokens start ``margin`` bytes
before the image. A token's byte at offset t of the tokens lies on byte t - margin of the image, so
that
overwriting is safe exactly if no group's tokens reach the first pixel that a later group reads:

    end of the tokens up to group g - margin <= first byte read after group g       for all g

``PatchEmbedOperator.overwrite_margin`` is the maximum of the difference for groups of two patches,
the smallest margin that is safe for every tile: ends of larger tiles are ends of pairs as well.
Later groups read later bytes or bytes of the same rows further right, so that the first byte read
is the smaller one of two: the rest of this strip's first row, and the next strip's first row. Of an
image in planes that is so in the first plane, and the other ones lie behind it.
:func:`is_safe` knows none of this: it marks for each image byte the last group that reads it, and
looks at each byte that each group writes. The tests compare the two for every patch size, stride
and padding of the search spaces, both ways: the margin is safe, and one byte less is not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops import PatchEmbed
from tflm_custom_ops.ops.scratch import ROW_GROUP


def is_safe(op: PatchEmbed, margin: int, group: int = ROW_GROUP) -> bool:
    """Byte by byte: whether no token lands on a pixel that is read after the token is written.

    Args:
      margin: image address minus token address, bytes.
      group: patches that the kernel reads before it writes their tokens.
    """
    last_reader = _last_reader(op, group)
    token_bytes = op.embed_dim * op.output_bits // 8
    written_to = token_bytes * (op.cls is not None)
    if np.any(last_reader[: max(0, written_to - margin)] >= 0):  # before anything is read
        return False
    number = 0
    for _ in range(op.grid_height):
        for column in range(0, op.grid_width, group):
            begin = written_to
            written_to += min(group, op.grid_width - column) * token_bytes
            touched = last_reader[max(0, begin - margin) : max(0, written_to - margin)]
            if np.any(touched > number):
                return False
            number += 1
    return True


def _last_reader(op: PatchEmbed, group: int) -> NDArray[np.int64]:
    """For each image byte the number of the last group that reads it, -1 if none does."""
    shape = (op.image_height, op.image_width)
    readers = np.full((op.channels, *shape) if op.planes else (*shape, op.channels), -1, np.int64)
    pixels = readers.transpose(1, 2, 0) if op.planes else readers
    per_strip = -(-op.grid_width // group)
    for strip in range(op.grid_height):
        top = strip * op.stride_y - op.pad_top
        rows = slice(max(0, top), max(0, top + op.patch_height))
        for column in range(op.grid_width):
            left = column * op.stride_x - op.pad_left
            columns = slice(max(0, left), max(0, left + op.patch_width))
            patch = pixels[rows, columns]
            np.maximum(patch, strip * per_strip + column // group, out=patch)
    return readers.reshape(-1)
