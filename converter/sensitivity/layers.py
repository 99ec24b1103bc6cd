# SPDX-License-Identifier: Apache-2.0
"""What rounding one linear layer of the plain graph costs: its weights, and its output."""

from __future__ import annotations

import math

import numpy as np

from converter.evaluate.metrics import sqnr_db
from converter.quantize.calibration import float_interpreter
from converter.sensitivity.report import LayerSensitivity, finite
from converter.sensitivity.values import Reals, range_of
from converter.tflite import Graph, Model, Tensor, serialize

_LINEAR = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"})


def layer_sensitivities(
    real_graph: Graph, plain: Graph, images: Reals
) -> tuple[LayerSensitivity, ...]:
    """Weights and outputs of each linear layer that both graphs have (by its output's name)."""
    exact = {
        real_graph.tensors[op.outputs[0]].name: op
        for op in real_graph.operators
        if op.opcode in _LINEAR
    }
    layers = [
        (op, exact[plain.tensors[op.outputs[0]].name])
        for op in plain.operators
        if op.opcode in _LINEAR and plain.tensors[op.outputs[0]].name in exact
    ]
    interpreter = float_interpreter(serialize(Model(real_graph)))
    sums = np.zeros((len(layers), 3))  # signal, noise, clipped
    values = 0
    for image in images:
        interpreter.set_tensor(real_graph.inputs[0], np.asarray(image, np.float32)[None])
        interpreter.invoke()
        values += 1
        for row, (op, twin) in zip(sums, layers, strict=True):
            row += _rounding(interpreter.get_tensor(twin.outputs[0]), plain.tensors[op.outputs[0]])
    result = []
    for row, (op, twin) in zip(sums, layers, strict=True):
        weights = real_graph.tensors[twin.inputs[1]].real()
        held = plain.tensors[op.inputs[1]].real().reshape(weights.shape)
        size = values * plain.tensors[op.outputs[0]].size
        ratio = 10 * math.log10(row[0] / row[1]) if row[0] > 0 and row[1] > 0 else math.inf
        result.append(
            LayerSensitivity(
                label=plain.tensors[op.outputs[0]].name,
                weights_db=finite(sqnr_db(weights, held)),
                output_db=finite(ratio),
                clipped=float(row[2] / size),
            )
        )
    return tuple(result)


def _rounding(values: Reals, tensor: Tensor) -> tuple[float, float, float]:
    """(signal, noise, number clipped) of a float tensor in its int8 type."""
    wide = values.astype(np.float64)
    kind = range_of(tensor)
    back = kind.scale * (kind.quantize(wide) - kind.zero_point)
    half = kind.scale / 2
    low = kind.scale * (kind.low - kind.zero_point) - half
    high = kind.scale * (kind.high - kind.zero_point) + half
    clipped = int(np.sum((wide < low) | (wide > high)))
    return float(np.sum(wide**2)), float(np.sum((back - wide) ** 2)), float(clipped)
