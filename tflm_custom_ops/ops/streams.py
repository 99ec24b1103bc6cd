# SPDX-License-Identifier: Apache-2.0
"""What a schedule reads in sequence, again and again, of its scratch.

The matrix cores run through all rows of a tile for each four channels. Rows that a data cache can
not hold until the next four are fetched again each time; this is where nearly all line fills of an
operator come from. converter/plan/fills.py makes an estimate of it.
"""

from __future__ import annotations

import dataclasses

from tflm_custom_ops.ops.parts import Projection
from tflm_custom_ops.ops.scratch import wide
from tflm_custom_ops.ops.work import CHANNELS


@dataclasses.dataclass(frozen=True)
class Stream:
    """Scratch that is run through in sequence.

    Attributes:
      begin, size_bytes: of the scratch.
      times: how often there is something new in it.
      passes: how often it is then run through.
    """

    begin: int
    size_bytes: int
    times: float
    passes: float

    @property
    def end(self) -> int:
        """First byte after it."""
        return self.begin + self.size_bytes


def quads(outputs: int) -> int:
    """Blocks of four channels, for each of which the rows are run through."""
    return -(-outputs // CHANNELS)


def tiles(rows: int, tile: int) -> int:
    """How often a tile is filled."""
    return -(-rows // tile)


def of_layer(
    begin: int, rows: int, p: Projection, times: float, outputs: int | None = None
) -> list[Stream]:
    """A projection of wide rows at ``begin``; the low-rank rows are taken to lie behind them.

    Args:
      outputs: channels at a time, if not all.
    """
    outputs = p.up.out_features if outputs is None else outputs
    if p.down is None:
        return [Stream(begin, wide(rows, p.up.in_features), times, quads(outputs))]
    size = wide(rows, p.down.in_features)
    return [
        Stream(begin, size, times, quads(p.rank)),
        Stream(begin + size, wide(rows, p.rank), times, quads(outputs)),
    ]
