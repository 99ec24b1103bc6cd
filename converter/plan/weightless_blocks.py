# SPDX-License-Identifier: Apache-2.0
"""Transformer blocks as fused operators without weights (`converter.plan.weightless`)."""

from __future__ import annotations

import functools
from typing import Any

from converter.plan.weightless_builder import GraphBuilder
from keras_models.parts import TransformerBlock
from tflm_custom_ops.ops import Params
from tflm_custom_ops.ops.attention import operator as attention
from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_custom_ops.ops.mlp import operator as mlp
from tflm_custom_ops.ops.weightless import with_layout

LAYOUT_OF_BITS = {8: WeightLayout.PAIRS8, 4: WeightLayout.QUADS4}


# Blocks of one shape are the same object: it is made, and its schedules are compared, once.
@functools.lru_cache(256)
def _same_attention(weight_bits: int, *sizes: int, **fields: Any) -> Params:
    return with_layout(attention.weightless(*sizes, **fields), LAYOUT_OF_BITS[weight_bits])


@functools.lru_cache(256)
def _same_mlp(weight_bits: int, *sizes: int, **fields: Any) -> Params:
    return with_layout(mlp.weightless(*sizes, **fields), LAYOUT_OF_BITS[weight_bits])


def attention_params(block: TransformerBlock, packed: bool, bits: int = 8) -> Params:
    """Attention of all tokens of a block as one operator."""
    places, ranks = block.places, block.ranks
    return _same_attention(
        block.weight_bits,
        places.tokens,
        block.width,
        block.heads,
        block.head_dim,
        bits=bits,
        qkv_rank=ranks.qkv,
        out_rank=ranks.proj,
        shared_down=bool(ranks.qkv) and packed,
        grid=attention.TokenGrid(
            places.side, places.prefix, places.relative, places.window, places.shift, places.bias
        )
        if places.matter
        else None,
    )


def mlp_params(block: TransformerBlock, bits: int = 8) -> Params:
    """The MLP of a block."""
    return _same_mlp(
        block.weight_bits,
        block.places.tokens,
        block.width,
        block.hidden,
        bits=bits,
        fc1_rank=block.ranks.fc1,
        fc2_rank=block.ranks.fc2,
    )


def attention_block(
    build: GraphBuilder, x: int, block: TransformerBlock, packed: bool, bits: int = 8
) -> int:
    """Attention with its LayerNorm and its residual."""
    return build.fused(attention_params(block, packed, bits), x)


def mlp_block(build: GraphBuilder, x: int, block: TransformerBlock, bits: int = 8) -> int:
    """The MLP with its LayerNorm and its residual."""
    return build.fused(mlp_params(block, bits), x)
