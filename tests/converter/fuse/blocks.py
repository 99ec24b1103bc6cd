# SPDX-License-Identifier: Apache-2.0
"""Transformer blocks in many spellings, made with `PlainGraph`."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.converter.fuse.plain_graph import PlainGraph


@dataclasses.dataclass(frozen=True)
class AttentionSpelling:
    """How an attention block is written.

    Attributes:
      tokens, heads, head_dim, embed_dim: sizes.
      packed: one linear layer for q, k and v; else three.
      parting: how a packed layer is taken apart: "split", "slice", "strided" (slice), or "heads"
        (each head's q, k and v side by side, as some exporters store them).
      scale: where 1/sqrt(head_dim) is multiplied: "q", "k", "scores" or "none".
      key_first: scores are k.q^T, transposed before the softmax.
      key_transposed: k is transposed by an operator, else by adj_y.
      value_transposed: v is [head_dim, tokens] and used with adj_y.
      context_first: the context is computed as v^T.p^T.
      features_first: the output projection reads each feature's heads side by side.
      rank: inner width of low-rank pairs, 0 for dense layers.
      skip_second: the residual ADD is branch + x.
      rank_3: activations are [1, tokens, embed_dim], else [tokens, embed_dim].
      mask: an ADD on the scores, of `added_mask` or of random numbers.
      activated: a GELU on q (of which no block is made).
      layer_scale: the branch is multiplied by a constant per channel.
      in_float: what training with fake quantization leaves in float, with a QUANTIZE behind it:
        "scores", "softmax" (scores too) or nothing.
    """

    tokens: int = 5
    heads: int = 2
    head_dim: int = 4
    embed_dim: int = 6
    packed: bool = True
    parting: str = "split"
    scale: str = "q"
    key_first: bool = False
    key_transposed: bool = False
    value_transposed: bool = False
    context_first: bool = False
    features_first: bool = False
    rank: int = 0
    skip_second: bool = False
    rank_3: bool = True
    per_channel: bool = True
    mask: bool = False
    activated: bool = False
    added_mask: np.ndarray | None = None
    layer_scale: bool = False
    in_float: str = ""


def token_input(g: PlainGraph, tokens: int, width: int, rank_3: bool = True) -> int:
    shape = (1, tokens, width) if rank_3 else (tokens, width)
    return g.input(g.rng.normal(0.0, 1.0, shape))


def project(g: PlainGraph, x: int, outputs: int, s: AttentionSpelling, std: float = 1.0) -> int:
    if not s.rank:
        return g.linear(x, outputs, std, per_channel=s.per_channel)
    inner = g.linear(x, s.rank, bias=False, per_channel=s.per_channel)
    return g.linear(inner, outputs, std, per_channel=s.per_channel)


def attention(g: PlainGraph, x: int, s: AttentionSpelling) -> int:
    """The block's output."""
    branch = attention_branch(g, g.layer_norm(x), s)
    return g.add(branch, x) if s.skip_second else g.add(x, branch)


def attention_branch(g: PlainGraph, h: int, s: AttentionSpelling) -> int:
    """What the block adds to the stream."""
    q, k, v = _heads(g, h, s)  # each [1, heads, tokens, head_dim]
    if s.activated:
        q = g.gelu(q)
    first = len(g.tensors)
    if s.in_float:
        q, k = (g.unary("DEQUANTIZE", t, g.value(t)) for t in (q, k))
    factor = g.constant(np.array(s.head_dim**-0.5))
    if s.scale == "q":
        q = g.mul(q, factor)
    if s.scale == "k":
        k = g.mul(factor, k)
    scores = _scores(g, q, k, s)
    if s.scale == "scores":
        scores = g.mul(scores, factor)
    if s.mask:
        mask = g.rng.normal(0, 1, (s.tokens, s.tokens)) if s.added_mask is None else s.added_mask
        scores = g.add(scores, g.constant(mask))
    if s.in_float == "scores":
        scores = _quantized(g, scores, first)
    p = g.softmax(scores)
    if s.in_float == "softmax":
        p = _quantized(g, p, first)
    context = _context(g, p, v, s)
    inner = s.heads * s.head_dim
    shape = (1, s.tokens, inner) if s.rank_3 else (s.tokens, inner)
    order = (0, 2, 3, 1) if s.features_first else (0, 2, 1, 3)
    merged = g.reshape(g.transpose(context, *order), *shape)
    return layer_scaled(g, project(g, merged, s.embed_dim, s, 0.5), s)


def _quantized(g: PlainGraph, x: int, first: int) -> int:
    """Integers again, where all tensors from `first` on become float."""
    g.in_float(first)
    return g.unary("QUANTIZE", x, g.value(x))


def layer_scaled(g: PlainGraph, branch: int, s: AttentionSpelling) -> int:
    if not s.layer_scale:
        return branch
    return g.mul(branch, g.constant(g.rng.uniform(-1.0, 1.0, g.value(branch).shape[-1])))


def _heads(g: PlainGraph, h: int, s: AttentionSpelling) -> tuple[int, int, int]:
    inner = s.heads * s.head_dim

    def by_head(t: int) -> int:
        return g.transpose(g.reshape(t, 1, s.tokens, s.heads, s.head_dim), 0, 2, 1, 3)

    if not s.packed:
        q, k, v = (project(g, h, inner, s, std) for std in (2.0, 2.0, 1.0))
        return by_head(q), by_head(k), by_head(v)
    qkv = project(g, h, 3 * inner, s, 1.5)
    if s.parting == "split":
        q, k, v = (by_head(t) for t in g.split(qkv, 3))
        return q, k, v
    if s.parting in ("slice", "strided"):
        flat = g.reshape(qkv, 1, s.tokens, 3 * inner)
        if s.parting == "slice":
            parts = [g.slice(flat, (0, 0, i * inner), (1, s.tokens, inner)) for i in range(3)]
        else:
            parts = [g.strided_slice(flat, i * inner, (i + 1) * inner) for i in range(3)]
        return by_head(parts[0]), by_head(parts[1]), by_head(parts[2])
    cube = g.transpose(g.reshape(qkv, 1, s.tokens, s.heads, 3, s.head_dim), 3, 0, 2, 1, 4)
    size = (1, 1, s.heads, s.tokens, s.head_dim)
    q, k, v = (g.reshape(g.slice(cube, (i, 0, 0, 0, 0), size), *size[1:]) for i in range(3))
    return q, k, v


def _scores(g: PlainGraph, q: int, k: int, s: AttentionSpelling) -> int:
    left, right = (k, q) if s.key_first else (q, k)
    if s.key_transposed:
        scores = g.matmul(left, g.transpose(right, 0, 1, 3, 2))
    else:
        scores = g.matmul(left, right, adj_y=True)
    return g.transpose(scores, 0, 1, 3, 2) if s.key_first else scores


def _context(g: PlainGraph, p: int, v: int, s: AttentionSpelling) -> int:
    if s.context_first:
        return g.transpose(g.matmul(v, p, adj_x=True, adj_y=True), 0, 1, 3, 2)
    if s.value_transposed:
        return g.matmul(p, g.transpose(v, 0, 1, 3, 2), adj_y=True)
    return g.matmul(p, v)


ACTIVATIONS = ("gelu", "gelu_tanh", "tanh_form", "sigmoid_form", "quick", "relu", "hard_swish")


def mlp(
    g: PlainGraph,
    x: int,
    hidden: int = 8,
    activation: str = "gelu",
    rank: int = 0,
    skip_second: bool = False,
    layer_scale: bool = False,
) -> int:
    """An MLP block's output."""
    s = AttentionSpelling(rank=rank, layer_scale=layer_scale)
    h = g.layer_norm(x)
    if activation == "relu":
        inner = g.linear(h, rank, bias=False) if rank else h
        a = g.linear(inner, hidden, activation="RELU")
    else:
        a = activate(g, project(g, h, hidden, s), activation)
    branch = layer_scaled(g, project(g, a, g.value(x).shape[-1], s, 0.7), s)
    return g.add(branch, x) if skip_second else g.add(x, branch)


def activate(g: PlainGraph, f: int, kind: str) -> int:
    """An activation function in one of its spellings."""
    v = g.value(f)
    if kind == "gelu":
        return g.gelu(f)
    if kind == "gelu_tanh":
        return g.gelu(f, approximate=True)
    if kind == "hard_swish":
        return g.unary("HARD_SWISH", f, v * np.clip(v + 3, 0, 6) / 6)
    if kind == "quick":
        z = g.mul(f, g.constant(np.array(1.702)))
        return g.mul(f, g.unary("LOGISTIC", z, 1 / (1 + np.exp(-g.value(z)))))
    inner = g.mul(f, g.mul(f, f))
    inner = g.add(f, g.mul(inner, g.constant(np.array(0.044715))))
    if kind == "sigmoid_form":
        z = g.mul(inner, g.constant(np.array(2 * np.sqrt(2 / np.pi))))
        return g.mul(f, g.unary("LOGISTIC", z, 1 / (1 + np.exp(-g.value(z)))))
    z = g.mul(inner, g.constant(np.array(np.sqrt(2 / np.pi))))
    t = g.add(g.unary("TANH", z, np.tanh(g.value(z))), g.constant(np.array(1.0)))
    return g.mul(g.mul(f, g.constant(np.array(0.5))), t)
