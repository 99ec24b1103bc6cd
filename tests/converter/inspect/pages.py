# SPDX-License-Identifier: Apache-2.0
"""Small networks, plain and fused, for the tests of the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from converter import tflite
from converter.contract import Contract, with_contract
from converter.fuse import fuse_model
from converter.plan import plan_model
from tests.converter.fuse.blocks import AttentionSpelling, attention, mlp, token_input
from tests.converter.fuse.plain_graph import PlainGraph

HOSTILE = (
    "</script><script>console.error(1)</script>",
    '"><img src=x onerror=console.error(2)>',
    "{{constructor.constructor('console.error(3)')()}}",
    "'+console.error(4)+' \\ ]]> &lt;b&gt;",
    "\u202eflipped \x00\x1b[2J\u2028",
)


def plain_block() -> bytes:
    """Attention and MLP of a few tokens, as another tool would write them."""
    g = PlainGraph(np.random.default_rng(0))
    spelling = AttentionSpelling()
    x = token_input(g, spelling.tokens, spelling.embed_dim)
    return g.finish(mlp(g, attention(g, x, spelling)))


def plain_block_and(end: Callable[[PlainGraph, int], int]) -> bytes:
    """The same with one operator behind it."""
    g = PlainGraph(np.random.default_rng(0))
    spelling = AttentionSpelling()
    x = token_input(g, spelling.tokens, spelling.embed_dim)
    return g.finish(end(g, mlp(g, attention(g, x, spelling))))


def fused(plain: bytes) -> bytes:
    """The fused and planned file."""
    return plan_model(fuse_model(plain).model_bytes).model_bytes


def renamed(content: bytes) -> bytes:
    """The same network with hostile names of tensors, and of classes."""
    model = tflite.parse(content)
    tensors = tuple(
        dataclasses.replace(t, name=f"{HOSTILE[i % len(HOSTILE)]}{i}")
        for i, t in enumerate(model.graph.tensors)
    )
    graph = dataclasses.replace(model.graph, tensors=tensors)
    return tflite.serialize(dataclasses.replace(model, graph=graph))


def with_classes(content: bytes) -> bytes:
    """The file with hostile names of classes."""
    model = tflite.parse(content)
    count = model.graph.tensors[model.graph.outputs[0]].shape[-1]
    names = tuple(f"{HOSTILE[i % 4]}{i}" for i in range(count))
    return tflite.serialize(with_contract(model, Contract(class_names=names)))
