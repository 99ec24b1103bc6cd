# SPDX-License-Identifier: Apache-2.0
"""Checks of a file's tensors and their order, apart from what the operators do with them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from converter.tflite.model import Operator, Quantization, Tensor, TfliteError
from converter.tflite.schema import schema

# Zero points; wider types are symmetric (TFLite 8-bit quantization specification).
_ZERO_POINTS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


def quantization_of(
    raw: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Quantization | None:
    """Scales and zero points of the schema's object; None where it has no scales."""
    where = f"tensor {name!r}"
    if raw is not None and raw.detailsType != schema.QuantizationDetails.NONE:
        raise TfliteError(f"{where}: got quantization details of its own, expected scales")
    if raw is None or raw.scale is None or len(raw.scale) == 0:
        return None
    scale = np.array(raw.scale, np.float32)
    zeros = 0 if raw.zeroPoint is None else len(raw.zeroPoint)
    if zeros != len(scale):
        raise TfliteError(f"{where}: got {zeros} zero points for {len(scale)} scales")
    zero_point = np.array(raw.zeroPoint, np.int64)
    axis = int(raw.quantizedDimension)
    along = 0 <= axis < max(1, len(shape))
    if not along or (len(scale) > 1 and (not shape or shape[axis] != len(scale))):
        raise TfliteError(
            f"{where}: got {len(scale)} scales along dimension {axis} of {list(shape)}"
        )
    if not np.all(np.isfinite(scale)) or np.any(scale < np.finfo(np.float32).tiny):
        raise TfliteError(f"{where}: got a scale that is not finite and positive")
    low, high = _ZERO_POINTS.get(dtype.name, (0, 0))
    if dtype.kind in "iu" and (zero_point.min() < low or zero_point.max() > high):
        raise TfliteError(
            f"{where}: got zero point {int(zero_point[np.argmax(np.abs(zero_point))])} of "
            f"{dtype.name}, expected {low}..{high}"
        )
    return Quantization(scale, zero_point, axis)


def check_edges(
    tensors: tuple[Tensor, ...], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    """Inputs are activations. Each input and output is named once, and has one scale or none."""
    for kind, places in (("input", inputs), ("output", outputs)):
        twice = [i for i, count in Counter(places).items() if count > 1]
        if twice:
            raise TfliteError(
                f"got graph {kind} {tensors[twice[0]].name!r} twice, expected once; convert the "
                "network with each result returned once"
            )
    for i in inputs:
        if tensors[i].is_constant or tensors[i].is_variable:
            raise TfliteError(
                f"got graph input {tensors[i].name!r} that has a value, expected an activation"
            )
    for i in (*inputs, *outputs):
        found = tensors[i].quantization
        if found is not None and len(found.scale) > 1:
            raise TfliteError(
                f"got {len(found.scale)} scales of {tensors[i].name!r}, an input or output of the "
                "graph, expected one"
            )


def check_order(
    tensors: tuple[Tensor, ...],
    operators: tuple[Operator, ...],
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
) -> None:
    """Every tensor is written once and before it is read (the format is SSA)."""
    ready = set(inputs)
    ready.update(i for i, t in enumerate(tensors) if t.is_constant or t.is_variable)
    for index, op in enumerate(operators):
        for i in op.inputs:
            if i >= 0 and i not in ready:
                raise TfliteError(
                    f"operator {index} ({op.name}): got input tensor {i} {tensors[i].name!r} that "
                    "nothing has written yet"
                )
        for i in op.outputs:
            if i in ready:
                raise TfliteError(
                    f"operator {index} ({op.name}): got output tensor {i} {tensors[i].name!r} that "
                    "has a value already"
                )
            ready.add(i)
    for i in outputs:
        if i not in ready:
            raise TfliteError(
                f"got graph output tensor {i} {tensors[i].name!r} that nothing writes"
            )
