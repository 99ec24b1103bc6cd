# SPDX-License-Identifier: Apache-2.0
"""GATHER and NEG of float32: parameters and definition."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Gather:
    """GATHER of x [batches, outer, axis, inner] with indices int32 [batches, indices].

    ``inner_bytes``: of one gathered part. An index outside of the axis takes the nearest part:
    TFLite's kernels read elsewhere or stop; no model means it.
    """

    batches: int
    outer: int
    axis: int
    indices: int
    inner_bytes: int


def gather(op: Gather, x: Array, indices: Array) -> Array:
    """[batches, outer, indices, inner], flat."""
    flat = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
    parts = flat.reshape(op.batches, op.outer, op.axis, op.inner_bytes)
    places = np.clip(indices.reshape(op.batches, 1, op.indices), 0, op.axis - 1)
    taken = np.take_along_axis(parts, places[..., None].astype(np.int64), axis=2)
    return np.ascontiguousarray(taken).reshape(-1).view(x.dtype)


@dataclasses.dataclass(frozen=True)
class NegateFloat:
    """NEG of float32."""

    count: int


def negate_float(op: NegateFloat, x: Array) -> NDArray[np.float32]:
    """float32 [count]."""
    return -x.reshape(op.count).astype(np.float32)
