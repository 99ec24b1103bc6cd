# SPDX-License-Identifier: Apache-2.0
"""Patch embedding (docs/operators.md, Patch embedding)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.parts import residual_dtype
from tflm_custom_ops.ops.patch_embed.params import PatchEmbed
from tflm_custom_ops.reference.linear import accumulate, add_residual


def extract_patches(op: PatchEmbed, image: ArrayLike) -> np.ndarray:
    """int64 ``[grid_height * grid_width, patch_height * patch_width * channels]``."""
    image = np.asarray(image, np.int64)
    if op.planes:
        image = image.reshape(op.channels, op.image_height, op.image_width).transpose(1, 2, 0)
    image = image.reshape(op.image_height, op.image_width, op.channels)
    height = max(op.pad_top + op.image_height, (op.grid_height - 1) * op.stride_y + op.patch_height)
    width = max(op.pad_left + op.image_width, (op.grid_width - 1) * op.stride_x + op.patch_width)
    padded = np.full((height, width, op.channels), op.input_zero_point, np.int64)
    inside = (slice(op.pad_top, op.pad_top + op.image_height),)
    padded[(*inside, slice(op.pad_left, op.pad_left + op.image_width))] = image
    order = (2, 0, 1) if op.planes else (0, 1, 2)  # of a patch's elements, as the weights'
    patches = [
        padded[y : y + op.patch_height, x : x + op.patch_width].transpose(order).ravel()
        for y in range(0, op.grid_height * op.stride_y, op.stride_y)
        for x in range(0, op.grid_width * op.stride_x, op.stride_x)
    ]
    return np.stack(patches)


def run_patch_embed(op: PatchEmbed, x: ArrayLike) -> np.ndarray:
    """Image int8 as `op.planes` says -> ``[tokens, embed_dim]`` of output_bits."""
    p = op.linear
    acc = accumulate(p, extract_patches(op, x))
    if op.pos is None:
        rows = add_residual(p, acc, np.zeros_like(acc), 0, 0, 0)
    else:
        rows = add_residual(p, acc, op.pos, op.pos_zero_point, op.pos_multiplier, op.pos_shift)
    dtype = residual_dtype(op.output_bits)
    if op.cls is not None:
        rows = np.concatenate([op.cls.astype(np.int64)[None, :], rows])
    return rows.astype(dtype)
