# SPDX-License-Identifier: Apache-2.0
"""Scratch bytes of the operators: the Python mirror of every ``*_scratch_bytes()`` in C.

The scheduler and the planner evaluate thousands of schedules with these; tests compare them with
the C functions. ``kernels/vit_attention_plan.h`` and ``kernels/vit_mlp.c`` describe the regions.
"""

from __future__ import annotations

from tflm_custom_ops.options import (
    Attention,
    Gelu,
    LayerNorm,
    LinearOp,
    Mlp,
    Op,
    PatchEmbed,
    Pool,
    Projection,
)

ALIGNMENT = 16  # bytes, of a scratch buffer and of every region in it
ROW_GROUP = 3  # rows that a matrix core computes together


def align(size: int) -> int:
    """``size`` bytes rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _even(n: int) -> int:
    return (n + 1) // 2 * 2


def _capacity(rows: int) -> int:
    return -(-rows // ROW_GROUP) * ROW_GROUP


def _area(rows: int, stride: int, element_bytes: int) -> int:
    return align(rows * stride * element_bytes)


def _wide(rows: int, features: int) -> int:
    """Bytes of int16 activation rows."""
    return _area(rows, _even(features), 2)


def attention_kv_bytes(op: Attention) -> int:
    """Bytes of the keys and values that exist at a time."""
    group = op.heads if op.heads_at_a_time == op.heads else 1
    keys = _even(op.tokens) * _even(op.head_dim) * group
    return align(keys) + align(op.head_dim * op.tokens * group)


def attention_scratch_bytes(op: Attention) -> int:
    """``vit_attention_scratch_bytes``."""
    features = op.heads * op.head_dim
    tile = min(op.token_tile, op.tokens)
    group = op.heads if op.heads_at_a_time == op.heads else 1
    rows, row_features = _capacity(tile), max(op.embed_dim, features)
    base = attention_kv_bytes(op)
    if group != op.heads:
        base += align(op.tokens * features)
    work = base + _wide(rows, row_features)
    work += align(tile * group * op.head_dim)
    work += _wide(ROW_GROUP, op.head_dim) + align(4 * tile)
    exponentials = _area(ROW_GROUP, _even(op.tokens), 4) + _area(rows, -(-op.tokens // 4) * 4, 2)
    middle = max(_wide(rows, op.q.rank), _wide(rows, op.out.rank))
    kv_middle = max(_wide(rows, op.k.rank), _wide(rows, op.v.rank))
    return max(work + max(exponentials, middle), base + _wide(rows, row_features) + kv_middle)


def mlp_scratch_bytes(op: Mlp) -> int:
    """``vit_mlp_scratch_bytes``."""
    tile = min(op.token_tile, op.tokens)
    rows = _capacity(tile)
    inputs = max(_wide(rows, op.embed_dim) + _wide(rows, op.fc1.rank), _wide(rows, op.fc2.rank))
    total = inputs + _wide(rows, min(op.hidden_tile, op.hidden_dim))
    if op.hidden_tile < op.hidden_dim:
        total += _area(tile, op.fc2.rank or op.embed_dim, 4)
    return total


def layer_norm_scratch_bytes(op: LayerNorm) -> int:
    """``vit_layer_norm_scratch_bytes``."""
    if op.pool is not Pool.MEAN:
        return 0
    return _area(1, op.embed_dim, 4) + _area(1, op.embed_dim, 1)


def linear_scratch_bytes(op: LinearOp) -> int:
    """``vit_linear_scratch_bytes``."""
    p: Projection = op.projection
    rows = _capacity(min(op.token_tile, op.rows))
    return _wide(rows, p.in_features) + _wide(rows, p.rank)


def patch_embed_scratch_bytes(op: PatchEmbed) -> int:
    """``vit_patch_embed_scratch_bytes``."""
    return _wide(ROW_GROUP, op.linear.in_features)


def scratch_bytes(op: Op) -> int:
    """Scratch bytes of any operator."""
    if isinstance(op, Attention):
        return attention_scratch_bytes(op)
    if isinstance(op, Mlp):
        return mlp_scratch_bytes(op)
    if isinstance(op, LayerNorm):
        return layer_norm_scratch_bytes(op)
    if isinstance(op, LinearOp):
        return linear_scratch_bytes(op)
    if isinstance(op, PatchEmbed):
        return patch_embed_scratch_bytes(op)
    assert isinstance(op, Gelu)
    return 0


def patch_embed_margin_bytes(op: PatchEmbed) -> int:
    """How far before the image, at least, the tokens must begin for ``vit_patch_embed`` to write
    them over the consumed image: ``image address - token address`` in bytes, >= 0.

    The tokens of three patches are written once those patches were read, and from then on only
    pixels from the next patch's first one on are read again. Hence the end of the tokens written
    so far must not pass the first pixel that is still to be read.
    """
    token_bytes = op.embed_dim * op.output_bits // 8
    first_patch = 0 if op.cls is None else 1
    row_bytes = op.image_width * op.channels

    def first_pixel(strip: int, column: int) -> int:
        """Byte of the first pixel read by the patches from (strip, column) on in the strip."""
        row = max(0, strip * op.stride_y - op.pad_top)
        return row * row_bytes + max(0, column * op.stride_x - op.pad_left) * op.channels

    margin = token_bytes * first_patch  # the class token is written before anything is read
    for strip in range(op.grid_height):
        for column in range(0, op.grid_width, ROW_GROUP):
            done = min(column + ROW_GROUP, op.grid_width)
            end = (first_patch + strip * op.grid_width + done) * token_bytes
            # What is still to be read: the rest of this strip, and the next strips.
            still = []
            if done < op.grid_width:
                still.append(first_pixel(strip, done))
            if strip + 1 < op.grid_height:
                still.append(first_pixel(strip + 1, 0))
            if still:
                margin = max(margin, end - min(still))
    return margin
