# SPDX-License-Identifier: Apache-2.0
"""Models of one operator, by rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.converter.fuse.plain_graph import PlainGraph, options


def moved(opcode: str, rank: int) -> tuple[bytes, np.ndarray[Any, Any]]:
    """(model, input) of an operator that moves elements of a tensor of that rank."""
    g = PlainGraph(np.random.default_rng(0))
    shape = (*(1,) * (rank - 2), 3, 4)
    x = g.input(g.rng.normal(0, 1, shape))
    if opcode == "TRANSPOSE":
        y = g.transpose(x, *range(rank - 2), rank - 1, rank - 2)
    elif opcode == "SLICE":
        y = g.slice(x, (0,) * rank, (*(1,) * (rank - 1), 4))
    else:
        bounds = [g.indices(*(0,) * rank), g.indices(*shape[:-1], 2), g.indices(*(1,) * rank)]
        value = g.value(x)[..., :2]
        y = g.op(opcode, [x, *bounds], value, like=x, **options("StridedSliceOptions"))
    return g.finish(y), g.quantized(x)
