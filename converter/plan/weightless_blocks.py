# SPDX-License-Identifier: Apache-2.0
"""Transformer blocks as fused operators without weights (`converter.plan.weightless`)."""

from __future__ import annotations

import functools

from converter.plan.weightless_builder import GraphBuilder
from keras_models.parts import TransformerBlock
from tflm_custom_ops.ops import Params
from tflm_custom_ops.ops.attention import operator as attention
from tflm_custom_ops.ops.mlp import operator as mlp

# Blocks of one shape are the same object: it is made, and its schedules are compared, once.
_same_attention = functools.lru_cache(256)(attention.weightless)
_same_mlp = functools.lru_cache(256)(mlp.weightless)


def attention_params(block: TransformerBlock, packed: bool, bits: int = 8) -> Params:
    """Attention of all tokens of a block as one operator."""
    places, ranks = block.places, block.ranks
    return _same_attention(
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
