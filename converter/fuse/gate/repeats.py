# SPDX-License-Identifier: Apache-2.0
"""Outputs of few elements that hardly depend on the input.

Every probe then meets the same values and makes the same errors: however many there are, the
decibels of plain and fused are one draw of a few numbers each, and may differ by several either
way. The verdict rests on the tensors before them (`witnesses`); the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from converter.fuse.gate.plain import is_quantized
from converter.fuse.gate.witnesses import MANY
from converter.fuse.op_semantics import Array
from converter.tflite import GraphView

_LEAST_STEPS = 0.5  # that an output moves by, for its errors to differ from probe to probe


class Repeats:
    """Exact values of a graph's small outputs, probe after probe."""

    def __init__(self, view: GraphView) -> None:
        self._view = view
        small = [t for t in view.graph.outputs if view.tensor(t).size < MANY]
        self._values: dict[int, list[Array]] = {
            t: [] for t in small if is_quantized(view.tensor(t))
        }

    def add(self, exact: Mapping[int, Array]) -> None:
        """One probe."""
        for tensor, values in self._values.items():
            if tensor in exact:
                values.append(exact[tensor].astype(np.float64))

    def remarks(self) -> Iterator[str]:
        """What the report says of each output that repeats."""
        for tensor, values in self._values.items():
            t = self._view.tensor(tensor)
            if len(values) < 2:
                continue
            steps = float(np.mean(np.std(np.stack(values), axis=0))) / t.scale
            if steps < _LEAST_STEPS:
                yield (
                    f"output {t.name!r} moves by {steps:.2g} of its step from probe to probe: the "
                    f"errors of its {t.size} values repeat, so that their dB are one draw, no mean"
                )
