# SPDX-License-Identifier: Apache-2.0
"""A plain graph with other weights in some layers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from converter.tflite import Graph, Quantization, Tensor, TfliteError
from converter.weight_bits.layers import WeightLayer
from converter.weight_bits.rounding import Rounded

_INT32 = 2**31 - 1


def with_weights(
    graph: Graph,
    layers: Sequence[WeightLayer],
    rounded: Mapping[int, Rounded],
) -> Graph:
    """The graph in which layers have rounded weights.

    A bias gets its new unit, and what keeps the outputs' mean.

    Args:
      rounded: new weights by operator; layers that are not in it stay.

    Raises:
      TfliteError: a bias has no int32 number in its new unit.
    """
    tensors, operators = list(graph.tensors), list(graph.operators)
    readers = Counter(i for op in graph.operators for i in op.inputs)
    for layer in layers:
        if layer.op not in rounded:
            continue
        weights, bias = _tensors(graph, layer, rounded[layer.op])
        inputs = list(operators[layer.op].inputs)
        inputs[1] = _placed(tensors, layer.weights, readers, weights)
        if bias is not None:
            inputs[2:] = [_placed(tensors, layer.bias, readers, bias)]
        operators[layer.op] = dataclasses.replace(operators[layer.op], inputs=tuple(inputs))
    return dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _placed(tensors: list[Tensor], old: int, readers: Counter[int], new: Tensor) -> int:
    """Index of a new tensor: that of the old one, where nobody else reads that."""
    if old >= 0 and readers[old] == 1:
        tensors[old] = new
        return old
    tensors.append(new)
    return len(tensors) - 1


def _tensors(graph: Graph, layer: WeightLayer, rounded: Rounded) -> tuple[Tensor, Tensor | None]:
    """The weights, and the bias if there is one."""
    old = graph.tensors[layer.weights]
    channels = len(rounded.scale)
    zeros = np.zeros(channels, np.int64)
    data = rounded.numbers.reshape(old.shape)
    scale = rounded.scale.astype(np.float32)
    weights = dataclasses.replace(old, data=data, quantization=Quantization(scale, zeros, 0))
    real = rounded.bias
    if layer.bias >= 0:
        real = real + graph.tensors[layer.bias].real().reshape(-1)
    if layer.bias < 0 and not np.any(real):
        return weights, None
    unit = np.float32(layer.unit) * scale
    numbers = np.rint(real / unit.astype(np.float64))
    if float(np.abs(numbers).max()) > _INT32:
        raise TfliteError(
            f"{layer.name}: got a bias of {np.abs(numbers).max():.3g} units of rounded weights, "
            "expected 32 bits; leave the layer at 8 bits"
        )
    name = graph.tensors[layer.bias].name if layer.bias >= 0 else f"{layer.name}/bias"
    quantization = Quantization(unit.astype(np.float32), zeros, 0)
    bias = Tensor(name, (channels,), np.dtype(np.int32), quantization, numbers.astype(np.int32))
    return weights, bias
