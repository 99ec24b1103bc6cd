# SPDX-License-Identifier: Apache-2.0
"""Named bounds of the parameters: they keep every product of dimensions, every sum and every
scratch size in range. In C each is a #define with the prefix VIT_ (vit_types.h)."""

from __future__ import annotations

MAX_TOKENS = 16384
# Of the integer LayerNorm: t of D int8 values stays below sqrt(D) * 2**25 (docs/operators.md), and
# the variance of D int16 values below 2**49.
MAX_EMBED_DIM = 2048
MAX_EMBED_DIM_16 = 640
MAX_HEAD_DIM = 256
MAX_HEAD_FEATURES = 4096  # heads * head_dim
MAX_FEATURES = 32768  # inputs or outputs of a layer: 2**15 * 255 * 128 < 2**31
MAX_ELEMENTS = 1 << 28  # of a tensor that is read through strides
MAX_IMAGE_SIDE = 8192
MAX_CHANNELS = 1024
MAX_RELATIVE_DISTANCE = 14  # of the tables of AutoFormer and MCUFormer
MAX_INT32 = (1 << 31) - 1
MAX_EXPANSION = 768  # inputs of a layer whose weights are expanded at a time
MAX_SHIFT = 15  # of accumulators and scores
MAX_RESIDUAL_SHIFT = 23  # of an int8 residual; int16: MAX_SHIFT

LIMITS: dict[str, int] = {name: value for name, value in globals().items() if name[:4] == "MAX_"}
