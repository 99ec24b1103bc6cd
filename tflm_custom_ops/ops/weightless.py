# SPDX-License-Identifier: Apache-2.0
"""Parts without weights: zeros that take no memory, to plan a network before it is trained.

Only shapes decide a schedule and a plan.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_custom_ops.ops.parts import Linear, Norm, Projection
from tflm_custom_ops.ops.schema import Struct, fields_of

S = TypeVar("S", bound=Struct)


def zeros(dtype: str, *shape: int) -> NDArray[Any]:
    """Zeros that share one element."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def uniform(dtype: str, number: int, *shape: int) -> NDArray[Any]:
    """The same number everywhere, that shares one element."""
    return np.broadcast_to(np.full((), number, dtype), shape)


def linear(inputs: int, outputs: int) -> Linear:
    """A layer of these sizes."""
    return Linear(zeros("int8", outputs, inputs), zeros("int32", outputs), zeros("int32", outputs))


def projection(inputs: int, outputs: int, rank: int = 0) -> Projection:
    """A dense (rank 0) or low-rank projection."""
    if not rank:
        return Projection(linear(inputs, outputs))
    return Projection(linear(rank, outputs), down=linear(inputs, rank))


def with_layout(value: S, layout: WeightLayout) -> S:
    """Parameters all of whose layers store their weights so."""
    changes: dict[str, Any] = {}
    for field in fields_of(type(value)):
        content = getattr(value, field.name)
        if field.type is WeightLayout:
            changes[field.name] = layout
        elif isinstance(content, Struct):
            changes[field.name] = with_layout(content, layout)
    return dataclasses.replace(value, **changes) if changes else value


def norm(features: int) -> Norm:
    """A LayerNorm."""
    return Norm(zeros("int32", features), zeros("int32", features), 1)
