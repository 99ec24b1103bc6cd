# SPDX-License-Identifier: Apache-2.0
"""A small network with every fused operator in it, made by hand."""

from __future__ import annotations

import functools

import numpy as np

from tests.converter.fuse.blocks import AttentionSpelling, attention, mlp
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.test_patch_embedding import Spelling, embed

PATCHES = Spelling(size=16, channels=3, patch=4, stride=4, width=24, cls="before")
BLOCK = AttentionSpelling(tokens=17, heads=3, head_dim=8, embed_dim=24, scale="scores")


@functools.cache
def network(rank: int = 0, outputs: int = 10) -> bytes:
    """Patch embedding, attention, MLP, LayerNorm with mean, linear, GELU, linear."""
    g = PlainGraph(np.random.default_rng(11))
    x = g.input(g.rng.normal(0.0, 1.0, (1, PATCHES.size, PATCHES.size, PATCHES.channels)))
    spelling = AttentionSpelling(**{**vars(BLOCK), "rank": rank})
    y = mlp(g, attention(g, embed(g, x, PATCHES), spelling), 48, rank=rank)
    head = g.mean(g.layer_norm(y), 1, keep=False)
    return g.finish(g.linear(g.gelu(g.linear(head, 24)), outputs))
