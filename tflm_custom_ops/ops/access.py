# SPDX-License-Identifier: Apache-2.0
"""What an operator loads and stores of its buffers, from the pieces that its schedule runs.

The pieces are those of work.py; the bytes of one are read off the kernels' inner loops. They rank
buffers for the planner (converter/plan/arrange.py): which lies where accesses cost least.
"""

from __future__ import annotations

import dataclasses

from tflm_custom_ops.ops.scratch import ROW_GROUP
from tflm_custom_ops.ops.work import CHANNELS, EXPANDED_WORDS, Term, Work

_WIDE = 2  # bytes of an activation in the core
_SUM = 4  # bytes of a score or of a partial sum
_STREAMS = 3  # of expanded weights
_TRIPLE = 3  # channels of V at a time
_WORD = 2 * _STREAMS * _WIDE  # bytes of two expanded inputs

# Bytes of scratch that one piece loads and stores.
_SCRATCH = {
    Term.INPUT: ROW_GROUP * _WIDE + _STREAMS * _WIDE,
    Term.PAIR: 2 * (ROW_GROUP * _WIDE + _STREAMS * _WIDE),
    Term.EXPAND_LOOP: EXPANDED_WORDS * _WORD,
    Term.EXPAND_WORD: _WORD,
    Term.WIDEN_QUAD: ROW_GROUP * CHANNELS * _WIDE,
    Term.WIDEN_REST: _WIDE,
    Term.NORM_8: _WIDE,
    Term.NORM_16: _WIDE,
    Term.SOFTMAX: CHANNELS * (2 * _SUM + _WIDE),
    Term.SOFTMAX_LAST: 2 * _SUM + _WIDE,
    Term.BIAS: 2 * _SUM,
    Term.LIMIT: 3 * _SUM,
    Term.UNSEEN: CHANNELS * _WIDE,
    Term.VALUE_EXPAND: _TRIPLE * (1 + _WIDE),
    Term.CONTEXT_NARROW: _TRIPLE,
    Term.CONTEXT_WIDE: _TRIPLE * _WIDE,
    Term.CONTEXT_CHANNEL: _WIDE,
    Term.GATHER: _WIDE,
    Term.GATHER_FILL: _WIDE,
    Term.PARTIAL_8: 2 * _SUM,
    Term.PARTIAL_16: 2 * _SUM,
    Term.PARTIAL_TILE: 2 * _SUM + _WIDE,
    Term.POOL: 2 * (_SUM + 1),
    Term.POOL_END: _SUM,
    Term.PACK: _WIDE,
    Term.TURN: 1,
    Term.SPREAD_QUERY: _WIDE,
    Term.SPREAD_CONTEXT: 1,
    Term.ROW_ADD: 2 * CHANNELS * _SUM,
    Term.ELEMENT_ADD: 2 * _SUM,
    Term.GROUP_KEY: ROW_GROUP * CHANNELS,
    Term.GROUP_VALUE: ROW_GROUP * CHANNELS,
    Term.GROUP_TILE: ROW_GROUP * CHANNELS * _WIDE,
    Term.GROUP_LUT: ROW_GROUP * CHANNELS * _WIDE,
}
_NORM_PASSES = 2  # sums, then the normalized values


@dataclasses.dataclass(frozen=True)
class Accesses:
    """Bytes loaded and stored in one run.

    Attributes:
      inputs: of each activation that is read, in order.
      output, scratch: of the result and of the scratch.
    """

    inputs: tuple[int, ...]
    output: int
    scratch: int


def scratch_accesses(work: Work) -> int:
    """Bytes of scratch that a schedule loads and stores."""
    return int(sum(work[term] * size for term, size in _SCRATCH.items()))


def first_input_accesses(work: Work) -> int:
    """Bytes of the first input that LayerNorms or, without one, widening load, each time anew."""
    int8 = work[Term.NORM_8] + work[Term.TOKEN_8] + work[Term.RMS_8]
    int16 = work[Term.NORM_16] + work[Term.TOKEN_16] + work[Term.RMS_16]
    if normalized := int8 + 2 * int16:
        return int(_NORM_PASSES * normalized)
    return int(ROW_GROUP * CHANNELS * work[Term.WIDEN_QUAD] + work[Term.WIDEN_REST])
