# SPDX-License-Identifier: Apache-2.0
"""Attention between projected tensors in many spellings, made with `PlainGraph`."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.tflite import Operator, Tensor
from tests.converter.fuse.plain_graph import Array, PlainGraph, options


@dataclasses.dataclass(frozen=True)
class CoreSpelling:
    """How softmax(scale.q.k^T + bias).v is written.

    Attributes:
      batches, tokens, keys, head_dim, value_dim: sizes.
      key_heads, shared: heads of keys, and queries' heads that share each.
      packed: q, k and v are parts of one linear layer (where their sizes allow that).
      features_first: the projections hold [head_dim][heads], else [heads][head_dim].
      repeat: how keys reach the heads that share them: "tile", "broadcast", "concat", by the
        product's own "broadcast" rules ("product"), or heads as rows of one product ("rows"); the
        last two for one head of keys.
      scale: "q", "k", "scores", "divided" (scores), or "none".
      key_first, key_transposed, value_transposed, context_first: as in `AttentionSpelling`.
      bias: "none", "heads" (position bias), "batches" (window mask, with position bias), "keys"
        (padding), "causal", "huge" (causal with -1e9), "select" (causal), "times" (causal: scores
        times ones and zeros, less a number where they are 0).
      subtracted: the bias is subtracted.
      turned: the second product has heads before batches.
      context: axes of [batches, heads, tokens, value_dim] behind the product.
    """

    batches: int = 2
    tokens: int = 5
    keys: int = 5
    key_heads: int = 2
    shared: int = 1
    head_dim: int = 4
    value_dim: int = 4
    packed: bool = False
    features_first: bool = False
    repeat: str = "tile"
    scale: str = "q"
    key_first: bool = False
    key_transposed: bool = False
    value_transposed: bool = False
    context_first: bool = False
    bias: str = "none"
    subtracted: bool = False
    turned: bool = False
    context: tuple[int, ...] = (0, 2, 1, 3)

    @property
    def heads(self) -> int:
        return self.key_heads * self.shared

    @property
    def in_rows(self) -> bool:
        """Whether heads are rows of one product."""
        return self.repeat == "rows" and self.key_heads == 1


def core_input(g: PlainGraph, s: CoreSpelling, width: int = 6) -> int:
    """Tokens [batches, most of tokens and keys, width]."""
    return g.input(g.rng.normal(0.0, 1.0, (s.batches, max(s.tokens, s.keys), width)))


def attention_core(g: PlainGraph, x: int, s: CoreSpelling) -> int:
    """The context of tokens of `core_input`."""
    q, k, v = _projected(g, x, s)
    factor = np.array(s.head_dim**-0.5)
    if s.scale == "q":
        q = g.mul(q, g.constant(factor))
    if s.scale == "k":
        k = g.mul(k, g.constant(factor))
    k, v = _repeated(g, k, s), _repeated(g, v, s)
    if s.in_rows:
        q = g.reshape(q, s.batches, 1, s.heads * s.tokens, s.head_dim)
    scores = _scores(g, q, k, s)
    if s.in_rows:
        scores = g.reshape(scores, s.batches, s.heads, s.tokens, s.keys)
    if s.scale == "scores":
        scores = g.mul(scores, g.constant(factor))
    if s.scale == "divided":
        scores = g.div(scores, g.constant(1.0 / factor))
    p = g.softmax(_biased(g, scores, s))
    if s.in_rows:
        p = g.reshape(p, s.batches, 1, s.heads * s.tokens, s.keys)
    turned = s.turned and g.value(p).shape[:2] == g.value(v).shape[:2]
    if turned:
        p, v = (g.transpose(t, 1, 0, 2, 3) for t in (p, v))
    context = _context(g, p, v, s)
    if turned:
        context = g.transpose(context, 1, 0, 2, 3)
    if s.in_rows:
        context = g.reshape(context, s.batches, s.heads, s.tokens, s.value_dim)
    moved = g.transpose(context, *s.context)
    rows, columns = g.value(moved).shape[:2]
    return g.reshape(moved, rows * columns, -1)


def _projected(g: PlainGraph, x: int, s: CoreSpelling) -> tuple[int, int, int]:
    """q, k and v, each [batches, heads, tokens, width]."""
    sizes = ((s.tokens, s.heads, s.head_dim), (s.keys, s.key_heads, s.head_dim),
             (s.keys, s.key_heads, s.value_dim))  # fmt: skip
    width = g.value(x).shape[2]
    if s.packed and len(set(sizes)) == 1:
        parts = g.split(g.linear(x, 3 * s.heads * s.head_dim, 1.5), 3)
    else:
        parts = []
        for (tokens, heads, dim), std in zip(sizes, (2.0, 2.0, 1.0), strict=True):
            source = x
            if tokens < g.value(x).shape[1]:
                source = g.slice(x, (0, 0, 0), (s.batches, tokens, width))
            parts.append(g.linear(source, heads * dim, std))
    q, k, v = (_by_head(g, t, size, s) for t, size in zip(parts, sizes, strict=True))
    return q, k, v


def _by_head(g: PlainGraph, t: int, size: tuple[int, int, int], s: CoreSpelling) -> int:
    tokens, heads, dim = size
    if s.features_first:
        return g.transpose(g.reshape(t, s.batches, tokens, dim, heads), 0, 3, 1, 2)
    return g.transpose(g.reshape(t, s.batches, tokens, heads, dim), 0, 2, 1, 3)


def _repeated(g: PlainGraph, t: int, s: CoreSpelling) -> int:
    """Keys or values for every head that has them."""
    batches, heads, keys, dim = g.value(t).shape
    if s.shared == 1 or (heads == 1 and s.repeat in ("product", "rows")):
        return t
    wide = g.reshape(t, batches, heads, 1, keys, dim)
    if s.repeat == "concat":
        wide = g.concatenation([wide] * s.shared, 2)
    elif s.repeat == "broadcast":
        wide = g.broadcast_to(wide, (batches, heads, s.shared, keys, dim))
    else:
        wide = g.tile(wide, (1, 1, s.shared, 1, 1))
    return g.reshape(wide, batches, heads * s.shared, keys, dim)


def _scores(g: PlainGraph, q: int, k: int, s: CoreSpelling) -> int:
    if s.key_first:
        return g.transpose(g.matmul(k, q, adj_y=True), 0, 1, 3, 2)
    if s.key_transposed:
        return g.matmul(q, g.transpose(k, 0, 1, 3, 2))
    return g.matmul(q, k, adj_y=True)


def _context(g: PlainGraph, p: int, v: int, s: CoreSpelling) -> int:
    if s.context_first:
        return g.transpose(g.matmul(v, p, adj_x=True, adj_y=True), 0, 1, 3, 2)
    if s.value_transposed:
        return g.matmul(p, g.transpose(v, 0, 1, 3, 2), adj_y=True)
    return g.matmul(p, v)


def bias_of(g: PlainGraph, s: CoreSpelling) -> Array:
    """The bias that is added to the scores."""
    later = np.arange(s.keys) > np.arange(s.tokens)[:, None] + max(0, s.keys - s.tokens)
    if s.bias == "keys":
        value = np.zeros((s.batches, 1, 1, s.keys))
        value[-1, ..., s.keys // 2 + 1 :] = -60.0
        return value
    if s.bias in ("causal", "huge"):
        return np.where(later, -60.0 if s.bias == "causal" else -1e9, 0.0)
    value = g.rng.normal(0.0, 1.0, (1, s.heads, s.tokens, s.keys))
    if s.bias == "batches":
        hidden = g.rng.integers(0, 2, (s.batches, 1, s.tokens, s.keys)) * -100.0
        hidden[..., 0] = 0.0
        value = value + hidden
    return value


def _biased(g: PlainGraph, scores: int, s: CoreSpelling) -> int:
    if s.bias == "none":
        return scores
    if s.bias == "select":
        return _selected(g, bias_of(g, dataclasses.replace(s, bias="causal")) == 0.0, scores, -60.0)
    if s.bias == "times":
        seen = (bias_of(g, dataclasses.replace(s, bias="causal")) == 0.0).astype(np.float64)
        lowered = g.constant((1.0 - seen) * (-60.0 if s.subtracted else 60.0))
        cut = g.mul(scores, g.constant(seen))
        return g.add(cut, lowered) if s.subtracted else g.sub(cut, lowered)
    bias = bias_of(g, s)
    if s.subtracted:
        return g.sub(scores, g.constant(-bias))
    return g.add(scores, g.constant(bias))


def _selected(g: PlainGraph, condition: Array, yes: int, no: float) -> int:
    """`yes` where a constant condition holds, else a number."""
    result = g.activation(np.where(condition, g.value(yes), no), name="select")
    t = g.tensors[result]
    data = np.clip(np.rint(no / t.scale) + t.zero_point, -128, 127).astype(np.int8)
    first = len(g.tensors)
    g.tensors += [
        Tensor("chosen", condition.shape, np.dtype(bool), None, condition),
        Tensor("hidden", (), data.dtype, t.quantization, np.asarray(data)),
    ]
    g.values += [condition, np.array(no)]
    opts = options("SelectV2Options")
    g.operators.append(Operator("SELECT_V2", (first, yes, first + 1), (result,), **opts))
    return result
