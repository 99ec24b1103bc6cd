# SPDX-License-Identifier: Apache-2.0
"""Which layers get 4 bits where not all must: those that cost least for the bytes they save."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from converter.weight_bits.layers import WeightLayer


@dataclasses.dataclass(frozen=True)
class LayerChoice:
    """A layer and its bits.

    Attributes:
      name: of its result.
      weights: how many.
      bits: 4 or 8.
      noise: what 4 bits in this layer alone add to the outputs, over their energy; None: not
        measured.
    """

    name: str
    weights: int
    bits: int
    noise: float | None


def cheapest(layers: Sequence[WeightLayer], noise: Sequence[float], bytes_over: int) -> list[int]:
    """Numbers of the layers that save at least so many bytes, in order; all where none suffice."""
    order = sorted(range(len(layers)), key=lambda i: noise[i] / max(1, layers[i].saved_bytes))
    chosen: list[int] = []
    for i in order:
        if bytes_over <= 0:
            break
        chosen.append(i)
        bytes_over -= layers[i].saved_bytes
    return _without_needless(layers, noise, chosen, bytes_over)


def _without_needless(
    layers: Sequence[WeightLayer], noise: Sequence[float], chosen: list[int], bytes_over: int
) -> list[int]:
    """Gives layers back that the others make up for, the noisiest first."""
    left = -bytes_over
    for i in sorted(chosen, key=lambda i: -noise[i]):
        if layers[i].saved_bytes <= left:
            left -= layers[i].saved_bytes
            chosen = [j for j in chosen if j != i]
    return sorted(chosen)
