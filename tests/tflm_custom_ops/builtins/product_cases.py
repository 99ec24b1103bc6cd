# SPDX-License-Identifier: Apache-2.0
"""Random one-op models of BATCH_MATMUL and SOFTMAX."""

from __future__ import annotations

import numpy as np

from converter import tflite
from converter.tflite.schema import schema
from tests.tflm_custom_ops.builtins import one_op
from tests.tflm_custom_ops.builtins.cases import Case, Rng, any_scale, int8_values


def batch_matmul(rng: Rng) -> Case:
    """Both operands may be adjoint, repeated along leading dimensions, or constant."""
    rows, depth, columns = (int(v) for v in rng.integers(1, 40, 3))
    lead = tuple(int(v) for v in rng.integers(1, 4, int(rng.integers(0, 4))))
    shapes = []
    for _ in range(2):
        mine = tuple(1 if rng.random() < 0.2 else n for n in lead)
        shapes.append(mine[int(rng.integers(len(lead) + 1)) :] if rng.random() < 0.2 else mine)
    out = np.broadcast_shapes(*shapes)
    options = schema.BatchMatMulOptionsT()
    options.adjX, options.adjY = bool(rng.random() < 0.4), bool(rng.random() < 0.5)
    options.asymmetricQuantizeInputs = False
    a = (*shapes[0], *((depth, rows) if options.adjX else (rows, depth)))
    b = (*shapes[1], *((columns, depth) if options.adjY else (depth, columns)))
    scales = [any_scale(rng) for _ in range(2)]
    fills = scales[0][0] * scales[1][0] * 73 * 73 * np.sqrt(depth) / 60
    y = one_op.activation("y", (*out, rows, columns), float(np.float32(fills)), any_scale(rng)[1])
    values = [int8_values(rng, a), int8_values(rng, b)]
    inputs = [one_op.activation(n, s, *t) for n, s, t in zip("ab", (a, b), scales, strict=True)]
    model = one_op.model("BATCH_MATMUL", options, inputs, y, version=2)
    return Case(model, tuple(values))


def softmax(rng: Rng) -> Case:
    shape = tuple(int(v) for v in rng.integers(1, 6, int(rng.integers(0, 4))))
    shape += (int(rng.integers(1, 70)),)
    options = schema.SoftmaxOptionsT()
    options.beta = float(rng.choice([1.0, 1.0, 0.5]))
    scale = float(np.float32(10 ** rng.uniform(-5, 1)))
    x = one_op.activation("x", shape, scale, any_scale(rng)[1])
    y = one_op.activation("y", shape, 1 / 256, -128)
    wide = rng.random() < 0.3
    if wide:
        quantization = tflite.Quantization.per_tensor(1 / 65536, -32768)
        y = tflite.Tensor("y", shape, np.dtype(np.int16), quantization)
    model = one_op.model("SOFTMAX", options, [x], y, version=2)
    return Case(model, (int8_values(rng, shape),))


def fully_connected_of_any_weights(rng: Rng) -> Case:
    """Weights that are computed, or constant with a zero point, for each channel too, and -128."""
    rows, depth, columns = (int(v) for v in rng.integers(1, 40, 3))
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction, options.keepNumDims, options.weightsFormat = 0, False, 0
    x, w = any_scale(rng), any_scale(rng)
    fills = x[0] * w[0] * 73 * 73 * np.sqrt(depth) / 60
    y = one_op.activation("y", (rows, columns), float(np.float32(fills)), any_scale(rng)[1])
    values = [int8_values(rng, (rows, depth)), int8_values(rng, (columns, depth))]
    inputs = [one_op.activation("x", (rows, depth), *x)]
    computed, per_channel = rng.random() < 0.4, rng.random() < 0.4
    if computed:
        inputs.append(one_op.activation("weights", (columns, depth), *w))
    else:
        scale = np.full(columns if per_channel else 1, w[0], np.float32)
        inputs.append(one_op.constant("weights", values.pop(), scale, zero_point=w[1] or 1))
    if rng.random() < 0.5:
        bias = rng.integers(-3000, 3000, columns).astype(np.int32)
        inputs.append(one_op.constant("bias", bias, np.array([x[0] * w[0]], np.float32)))
    model = one_op.model("FULLY_CONNECTED", options, inputs, y, version=4)
    # LiteRT rounds once; TFLM ignores zero points of channels.
    return Case(model, tuple(values), litert=False, wheel=computed or not per_channel)


GENERATORS = (batch_matmul, softmax, fully_connected_of_any_weights)


def large_layer(rng: Rng) -> Case:
    """A FULLY_CONNECTED of one scale with 810,000 outputs: enough to meet a factor's last bits."""
    size, depth = 900, 300
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction, options.keepNumDims, options.weightsFormat = 0, False, 0
    scales = [float(np.float32(10 ** rng.uniform(-3, 0))) for _ in range(2)]
    fills = scales[0] * scales[1] * 73 * 73 * np.sqrt(depth) / 60
    y = one_op.activation("y", (size, size), float(np.float32(fills)), 3)
    weights = np.maximum(int8_values(rng, (size, depth)), -127)
    bias = one_op.constant("bias", np.zeros(size, np.int32), np.array([scales[0] * scales[1]]))
    inputs = [
        one_op.activation("x", (size, depth), scales[0], 5),
        one_op.constant("w", weights, np.array([scales[1]])),
        bias,
    ]
    model = one_op.model("FULLY_CONNECTED", options, inputs, y, version=4)
    return Case(model, (int8_values(rng, (size, depth)),))
