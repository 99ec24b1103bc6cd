# SPDX-License-Identifier: Apache-2.0
"""softmax(scale.q.k^T + bias).v of tensors that are already projected, anchored at the SOFTMAX.

Tried where the whole block does not match: q, k and v may come from anything. Views before and
behind are read into strides (`core_views`); constants on the scores into a bias (`score_bias`).
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from converter.fuse.arithmetic import Range, exp_table, rounded, scalar_fixed_point
from converter.fuse.errors import BoundError, NoMatchError
from converter.fuse.layout import trace_back
from converter.fuse.lower import EXP_FRACTION, TensorRange
from converter.fuse.patterns.core_rows import Rows, match_rows, multiplied_at
from converter.fuse.patterns.core_views import Arrangement, Strided, arrange
from converter.fuse.patterns.match import MatchDefaults
from converter.fuse.patterns.products import is_learnt
from converter.fuse.patterns.score_bias import score_bias
from converter.fuse.patterns.scores import score_limits, trace_scores
from converter.fuse.region import check_closed
from converter.tflite import GraphView
from tflm_custom_ops.ops.attention_core.params import AttentionCore, View

_CONTEXT_BITS = 26  # of v's scale over the context's, as in the whole block


@dataclasses.dataclass(frozen=True, eq=False)
class AttentionCoreMatch(MatchDefaults):
    """Attention of int8 tensors.

    Attributes:
      inputs: q, k, v; one tensor may stand for several.
      y: the context.
      scale: factor of q.k^T before the softmax.
      v_factor: factor of v.
      limits: least and greatest score, real, bias left out; None where no range is known.
      rows: what is computed, in the order of `arrangement`.
      sizes: number of elements of q, k, v and y.
    """

    READS_STREAM: ClassVar[bool] = False
    WRITES_STREAM: ClassVar[bool] = False

    inputs: tuple[int, int, int]
    y: int
    scale: float
    v_factor: float
    limits: tuple[float, float] | None
    arrangement: Arrangement
    rows: Rows
    sizes: tuple[int, int, int, int]
    ops: tuple[int, ...]

    @property
    def x(self) -> int:
        return self.inputs[0]

    @property
    def kept(self) -> tuple[int, ...]:
        """Scores and probabilities have other types, or none."""
        return ()

    def lower(self, type_of: TensorRange) -> AttentionCore:
        """The operator; raises BoundError where an integer would overflow."""
        q, k, v, y = (type_of(t) for t in (*self.inputs, self.y))
        found, head_dim = self.arrangement, self.rows.query.index.shape[2]
        keys, value_dim = self.rows.value.index.shape[1:]
        unit = q.scale * k.scale * self.scale
        if not unit > 0:
            raise BoundError(f"the scores' scale is {self.scale:g}, expected a positive number")
        peak = _largest(q) * 128 * head_dim  # of a score, without what the zero point of k adds
        far = _largest(q) * _largest(k) * head_dim * unit
        limits = self.limits or (-far, far)
        shape = (found.batches, found.heads, found.tokens, keys)
        rows = self.rows
        bias = score_bias(rows.bias.reshape(shape), rows.replaced.reshape(shape), unit, limits)
        exponent = math.log2(math.e) * unit * EXP_FRACTION
        multiplier, shift = scalar_fixed_point(exponent, 2 * (peak + bias.largest), "scores")
        ratio = v.scale * self.v_factor / y.scale
        if not 0 < ratio * 2.0**_CONTEXT_BITS < 2**31:
            raise BoundError(f"v's scale over the context's is {ratio:.4g}, expected 0..32")
        return AttentionCore(
            batches=found.batches,
            tokens=found.tokens,
            key_tokens=keys,
            heads=found.heads,
            key_heads=found.key_heads,
            head_dim=head_dim,
            value_dim=value_dim,
            token_tile=1,
            q=_view(found.query, self.sizes[0]),
            k=_view(found.key, self.sizes[1]),
            v=_view(found.value, self.sizes[2]),
            out=_view(found.result, self.sizes[3]),
            q_zero_point=q.zero_point,
            k_zero_point=k.zero_point,
            v_zero_point=v.zero_point,
            score_multiplier=multiplier,
            score_shift=shift,
            exp_table=exp_table(keys),
            context_numerator=rounded(ratio * 2.0**48),
            context_zero_point=y.zero_point,
            causal=bias.causal,
            past_tokens=bias.past_tokens,
            bias=bias.values,
            bias_shift=bias.shift,
        )


def _largest(q: Range) -> int:
    """Bound of |q - zero point|."""
    return max(q.high - q.zero_point, q.zero_point - q.low)


def _view(strided: Strided, elements: int) -> View:
    s = strided.strides
    return View(elements, s.offset, s.batch, s.head, s.token, s.channel)


def is_learnt_pooling(view: GraphView, op: int) -> bool:
    """Whether a SOFTMAX of a linear layer weighs tokens, as in sequence pooling (CCT).

    That is attention with the weights as queries; the layer's bias is the same for all keys.
    """
    if view.op(op).opcode != "SOFTMAX":
        return False
    layer = view.producer(trace_back(view, view.op(op).inputs[0]).base)
    if layer is None or not is_learnt(view, layer):
        return False
    try:
        multiplied_at(view, op)
    except NoMatchError:
        return False
    return True


def match_attention_core(view: GraphView, softmax: int) -> AttentionCoreMatch:
    """The attention around a SOFTMAX.

    Raises:
      NoMatchError: with the reason.
    """
    scores = trace_scores(view, softmax)
    rows = match_rows(view, softmax, scores)
    found = arrange(view, rows)
    needed = {scores.product, *scores.ops, softmax, *rows.ops}
    y = found.result.place.tensor
    needed |= set(found.result.place.ops)
    check_closed(view, needed, {y})
    ops = _without_read(view, needed | found.views, y)
    parts = (found.query, found.key, found.value, found.result)
    q, k, v = (part.place for part in parts[:3])
    sizes = [view.tensor(part.place.tensor).size for part in parts]
    return AttentionCoreMatch(
        inputs=(q.tensor, k.tensor, v.tensor),
        y=y,
        scale=scores.factor * q.factor * k.factor,
        v_factor=v.factor,
        limits=score_limits(view, scores),
        arrangement=found,
        rows=rows,
        sizes=(sizes[0], sizes[1], sizes[2], sizes[3]),
        ops=tuple(sorted(ops)),
    )


def _without_read(view: GraphView, ops: set[int], y: int) -> set[int]:
    """Without the views whose results something else reads, and what they read."""
    kept = set(ops)
    while True:
        results = {op: [t for t in view.op(op).outputs if t != y] for op in kept}
        read = {op for op, ts in results.items() if any(_is_read(view, t, kept) for t in ts)}
        if not read:
            return kept
        kept -= read


def _is_read(view: GraphView, tensor: int, inside: set[int]) -> bool:
    return tensor in view.graph.outputs or any(r not in inside for r in view.consumers(tensor))
