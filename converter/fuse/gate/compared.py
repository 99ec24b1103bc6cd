# SPDX-License-Identifier: Apache-2.0
"""A region's results for one input, in all the ways that are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from converter.fuse.gate.noise import Noise
from converter.fuse.op_semantics import Array


@dataclasses.dataclass(frozen=True, eq=False)
class Compared:
    """Real values of one shape [..., columns].

    Attributes:
      exact: without rounding.
      limited: without rounding, tensors inside limited to the ranges that the operator has too.
      fused, plain: of the fused operator, and of the plain ones with rounding.
      added: what passes by and is added; None where nothing is.
    """

    exact: Array
    limited: Array
    fused: Array
    plain: Array
    added: Array | None

    def add_to(self, noise: Noise, limited: Noise) -> None:
        """Counts them as one probe: against the exact, and against the limited values."""
        noise.add(self.exact, self.fused, self.plain)
        limited.add(self.limited, self.fused, self.plain, self.added)


def joined(results: Sequence[Compared]) -> Compared:
    """The results of several inputs as rows of one."""

    def rows(values: list[Array]) -> Array:
        return np.concatenate([v.reshape(-1, v.shape[-1] if v.ndim else 1) for v in values])

    added = [r.added for r in results if r.added is not None]
    return Compared(
        rows([r.exact for r in results]),
        rows([r.limited for r in results]),
        rows([r.fused for r in results]),
        rows([r.plain for r in results]),
        rows(added) if len(added) == len(results) else None,
    )
