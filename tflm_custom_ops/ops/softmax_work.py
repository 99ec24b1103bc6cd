# SPDX-License-Identifier: Apache-2.0
"""The pieces of attention between keys, queries and values (kernels/vit_softmax.c and
vit_softmax_dsp.c), which the attention block and its core share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.scratch import even
from tflm_custom_ops.ops.work import CHANNELS, SLICE_ROWS, Term, Work

QUAD = 4  # tokens
TRIPLE = 3  # channels of the values at a time
CHANNEL_DIFFERENCE = 2 * 255 * 128  # of two products of a query's and a key's channel


@dataclasses.dataclass(frozen=True)
class SoftmaxRow:
    """What a row's exponentials do besides.

    Attributes:
      has_bias: is added to the scores.
      is_relative: relative keys are, too.
      shift: of the scores' differences (score_shift).
    """

    head_dim: int
    has_bias: bool
    is_relative: bool
    shift: int

    @property
    def is_limited(self) -> bool:
        """Whether scores that are far below the largest are cut off (vit_seen_exponentials)."""
        fits = self.head_dim * CHANNEL_DIFFERENCE <= (1 << 31) - 1 >> self.shift
        return self.shift > 0 and (self.has_bias or self.is_relative or not fits)


def quads_of(tokens: int) -> int:
    """Whole and begun quads of tokens."""
    return -(-tokens // QUAD)


def add_scores(work: Work, keys: int, head_dim: int, queries: int, times: int) -> None:
    """Products of widened queries with the keys of a head."""
    groups, quads = pieces.groups_of(queries), -(-keys // CHANNELS)
    work[Term.KEY_CALL] += times
    work[Term.KEY_QUAD] += times * quads
    pieces.add_products(work, even(head_dim), quads, groups, times)
    work[Term.GROUP_SUMS] += times * quads * groups


def add_exponentials(work: Work, keys: int, shift: int, times: int) -> None:
    """A row of scores."""
    work[Term.SOFTMAX_ROW] += times
    work[Term.SOFTMAX] += times * (keys // QUAD)
    work[Term.SOFTMAX_LAST] += times * (keys % QUAD)
    if shift:
        work[Term.SOFTMAX_SHIFT] += times * (keys // QUAD)


def add_seen_exponentials(
    work: Work, softmax: SoftmaxRow, seen: Sequence[int], keys: int, times: int
) -> None:
    """Rows that see the first ``seen`` of ``keys`` keys, one after another."""
    work[Term.SEEN_CALL] += times
    for count in seen:
        add_exponentials(work, count, softmax.shift, times)
        work[Term.SEEN_ROW] += times
        work[Term.UNSEEN] += times * (quads_of(keys) - quads_of(count))
        if softmax.has_bias:
            work[Term.BIAS_ROW] += times
            work[Term.BIAS] += times * count
        if softmax.is_limited:
            work[Term.LIMIT_ROW] += times
            work[Term.LIMIT] += times * count


@dataclasses.dataclass(frozen=True)
class Context:
    """The product of exponentials with the values of one head.

    Attributes:
      keys: the first so many are read, of rows of ``stride`` exponentials.
      expanded: tokens whose values are expanded at a time.
      is_wide: to the rows of the next projection, not to int8 rows.
    """

    keys: int
    stride: int
    value_dim: int
    expanded: int
    is_wide: bool

    def add(self, work: Work, rows: int, times: int) -> None:
        """Of ``rows`` queries, with the division."""
        for count, often in pieces.parts(rows, SLICE_ROWS):
            self._add_block(work, count, times * often)
            triples = times * often * (self.value_dim // TRIPLE)
            if self.is_wide:
                work[Term.CONTEXT_WIDE] += triples * even(count)
            else:
                work[Term.CONTEXT_NARROW] += triples * count
            work[Term.CONTEXT_CHANNEL] += times * often * (self.value_dim % TRIPLE) * count

    def _add_block(self, work: Work, rows: int, times: int) -> None:
        tokens, groups = QUAD * quads_of(self.keys), pieces.groups_of(rows)
        calls = times * -(-self.value_dim // TRIPLE)
        work[Term.VALUE_CALL] += calls
        work[Term.VALUE_EXPAND] += calls * tokens
        for count, often in pieces.parts(tokens, self.expanded):
            work[Term.VALUE_CHUNK] += calls * often
            work[Term.VALUE_GROUP] += calls * often * groups
            pieces.add_core(work, count, groups, calls * often)
            if count < self.stride:
                work[Term.VALUE_PART] += calls * often * groups
        if min(tokens, self.expanded) < self.stride:
            work[Term.VALUE_CLEAR] += calls * groups
