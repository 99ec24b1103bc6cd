# SPDX-License-Identifier: Apache-2.0
"""Muon: steps whose matrices have all singular values alike.

A convolution's or dense layer's kernel moves by its averaged gradient made orthogonal (Jordan et
al., "Muon", 2024), so that rare directions of it learn as fast as frequent ones. Scaled as Liu et
al. have it ("Muon is Scalable for LLM Training", 2025, section 2.2), a step is as large as AdamW's
at the same rate. Everything else (biases, norms, positions, depthwise kernels, the first and the
last layer) is AdamW's, as the authors of both advise.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

MOMENTUM = 0.95
ROOT_MEAN_SQUARE = 0.2  # of AdamW's usual step, over its rate
ITERATIONS = 5
# A quintic that lifts small singular values fastest; five of it leave them in about 0.7..1.2.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_OWN_STEPS = ("stem", "patch", "head")  # layers that AdamW moves


def orthogonal(matrix: Any, iterations: int = ITERATIONS) -> Any:
    """U V^T of the matrix U S V^T, nearly: Newton-Schulz, no decomposition.

    Args:
      matrix: (rows, columns) float32.
    """
    a, b, c = _QUINTIC
    rows, columns = matrix.shape
    x = ops.transpose(matrix) if rows > columns else matrix
    x = x / (ops.norm(x) + 1e-7)  # no singular value above 1
    for _ in range(iterations):
        square = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return ops.transpose(x) if rows > columns else x


def moves_as_matrix(variable: Any) -> bool:
    """A dense layer's kernel (in, out) or a convolution's (height, width, in, out), not of the
    first or the last layer, and not depthwise."""
    shape, path = tuple(variable.shape), variable.path
    if len(shape) not in (2, 4) or min(shape[-2:]) == 1 or not path.endswith("kernel"):
        return False
    # A supernet's weights are of one layer, which their own names begin with.
    layer = path.removesuffix("kernel").rstrip("/_").split("/")[-1]
    return not layer.startswith(_OWN_STEPS)


class Muon(keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW, but for kernels, which move by orthogonal matrices. Takes what AdamW takes."""

    def build(self, variables: Any) -> None:
        super().build(variables)
        # Asked here: with TensorFlow, a step sees what a variable holds, which has no path.
        self._as_matrix = [moves_as_matrix(variable) for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        if not self._as_matrix[index]:
            super().update_step(gradient, variable, learning_rate)
            return
        average = self._momentums[index]
        gradient = ops.cast(gradient, variable.dtype)
        self.assign(average, MOMENTUM * average + gradient)
        ahead = ops.reshape(gradient + MOMENTUM * average, (-1, variable.shape[-1]))  # Nesterov
        size = ROOT_MEAN_SQUARE * max(ahead.shape) ** 0.5 * ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, ops.reshape(size * orthogonal(ahead), variable.shape))
