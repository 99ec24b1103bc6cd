# SPDX-License-Identifier: Apache-2.0
"""How far tokens must stay behind the image rows that the patch embedding has yet to read.

The kernel embeds one strip (a row of patches) after another. While it works on strip s it reads
image rows from ``first_row(s)`` on and writes the strip's tokens, in any order. Tokens start
``margin`` bytes before the image. Overwriting is safe exactly if, for each s, the tokens written
up to and including strip s end before the first image byte that strip s or a later one reads:

    margin + first_row(s) * row_bytes >= end of the tokens of strip s        for all s

so the smallest margin is the maximum over s of token_end(s) - first_row(s) * row_bytes.
:func:`is_safe` checks the same byte by byte, from the patches' pixels, without that formula.
"""

from __future__ import annotations

import numpy as np

from tflm_custom_ops.options import PatchEmbed


def image_bytes(op: PatchEmbed) -> int:
    """Bytes of the whole int8 image."""
    return op.image_height * op.image_width * op.channels


def strip_rows(op: PatchEmbed) -> int:
    """Image rows that the largest strip holds (fewer than a patch where it is padded)."""
    starts = [first_row(op, s) for s in range(op.grid_height)]
    ends = [_end_row(op, s) for s in range(op.grid_height)]
    return max(end - start for start, end in zip(starts, ends, strict=True))


def strip_bytes(op: PatchEmbed) -> int:
    """Bytes of the buffer that a streamed image's rows are collected in."""
    return strip_rows(op) * op.image_width * op.channels


def first_row(op: PatchEmbed, strip: int) -> int:
    """First image row that strip ``strip`` reads."""
    return max(0, strip * op.stride_y - op.pad_top)


def _end_row(op: PatchEmbed, strip: int) -> int:
    return min(op.image_height, strip * op.stride_y - op.pad_top + op.patch_height)


def token_bytes(op: PatchEmbed) -> int:
    """Bytes of one token."""
    return op.embed_dim * op.output_bits // 8


def token_end(op: PatchEmbed, strip: int) -> int:
    """End of the tokens that are written once strip ``strip`` is done, class token included."""
    rows = (op.cls is not None) + (strip + 1) * op.grid_width
    return rows * token_bytes(op)


def margin_bytes(op: PatchEmbed) -> int:
    """The smallest safe distance from the start of the tokens to the start of the image."""
    row_bytes = op.image_width * op.channels
    needed = (token_end(op, s) - first_row(op, s) * row_bytes for s in range(op.grid_height))
    return max(0, *needed)


def is_safe(op: PatchEmbed, margin: int) -> bool:
    """Byte by byte: whether no token of strip s lands on a pixel that strip s or later reads."""
    last_reader = _last_reader(op)
    written_to = token_bytes(op) * (op.cls is not None)
    if not _untouched(last_reader, -margin, written_to - margin, 0):
        return False
    for strip in range(op.grid_height):
        begin = written_to - margin
        written_to += op.grid_width * token_bytes(op)
        if not _untouched(last_reader, begin, written_to - margin, strip):
            return False
    return True


def _untouched(last_reader: np.ndarray, begin: int, end: int, strip: int) -> bool:
    return bool(np.all(last_reader[max(0, begin) : max(0, end)] < strip))


def _last_reader(op: PatchEmbed) -> np.ndarray:
    """For each image byte the last strip that reads it, -1 if none does."""
    readers = np.full((op.image_height, op.image_width, op.channels), -1, np.int64)
    for strip in range(op.grid_height):
        top = strip * op.stride_y - op.pad_top
        for column in range(op.grid_width):
            left = column * op.stride_x - op.pad_left
            rows = slice(max(0, top), max(0, top + op.patch_height))
            columns = slice(max(0, left), max(0, left + op.patch_width))
            readers[rows, columns] = strip
    return readers.reshape(-1)
