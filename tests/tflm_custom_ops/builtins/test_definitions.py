# SPDX-License-Identifier: Apache-2.0
"""The reference runtime computes builtins as TFLM does where LiteRT's kernels differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converter import tflite
from converter.runtimes import open_runtime
from converter.tflite.schema import schema
from tests.tflm_custom_ops.builtins import one_op

Ends = tuple[float, int]
Case = tuple[tflite.Model, tuple[np.ndarray, ...]]
EVERY = np.arange(-128, 128, dtype=np.int8)
PAIRS = np.repeat(EVERY, 256).reshape(256, 256), np.tile(EVERY, 256).reshape(256, 256)
NUMBERS = np.random.default_rng(0)


def tensor(name: str, shape: tuple[int, ...], scale: float, dtype: str = "int16") -> tflite.Tensor:
    quantization = tflite.Quantization.per_tensor(scale, 0)
    return tflite.Tensor(name, shape, np.dtype(dtype), quantization)


def drawn(*shape: int) -> np.ndarray:
    return NUMBERS.integers(-(1 << 15), 1 << 15, shape).astype(np.int16)


def product() -> Case:
    """A convolution's output times its sigmoid (SiLU), in a file of keras.io's MobileViT."""
    ends: tuple[Ends, ...] = ((0.005917540285736322, 27), (1 / 256, -128), (0.00251651974394, -24))
    tensors = [one_op.activation(n, (256, 256), *s) for n, s in zip("aby", ends, strict=True)]
    return one_op.model("MUL", schema.MulOptionsT(), tensors[:2], tensors[2]), PAIRS


def sloped() -> Case:
    ends: tuple[Ends, ...] = ((0.133, 28), (0.0145, 14), (0.002, -9))
    x, y = (one_op.activation(n, (256, 256), *s) for n, s in zip("xy", ends[::2], strict=True))
    slopes = one_op.constant("s", EVERY, np.array(ends[1][:1]), zero_point=ends[1][1])
    return one_op.model("PRELU", None, [x, slopes], y, version=1), (PAIRS[0],)


def table(name: str, scale: float, result: Ends) -> Case:
    """LiteRT computes it in floating point: two inputs of 256 lie between two results."""
    tensors = one_op.activation("x", (256,), scale, 0), one_op.activation("y", (256,), *result)
    return one_op.model(name, None, [tensors[0]], tensors[1], version=2), (EVERY,)


def two_int16(name: str, options: Any, scales: tuple[float, float, float]) -> Case:
    shape = (1 << 9, 1 << 9)
    tensors = [tensor(n, shape, s) for n, s in zip("aby", scales, strict=True)]
    return one_op.model(name, options, tensors[:2], tensors[2], version=5), (
        drawn(*shape),
        drawn(*shape),
    )


def total_int16() -> Case:
    axis = one_op.constant("axis", np.array([1], np.int32))
    options = schema.ReducerOptionsT()
    inputs = [tensor("x", (64, 16), 0.01), axis]
    return one_op.model("SUM", options, inputs, tensor("y", (64,), 0.13), version=2), (
        drawn(64, 16),
    )


def root_int16() -> Case:
    x = np.abs(drawn(512)) // 2 + 1
    ends = tensor("x", (512,), 0.002), tensor("y", (512,), 0.0007)
    return one_op.model("RSQRT", None, [ends[0]], ends[1]), (x.astype(np.int16),)


def softmax_int16() -> Case:
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    ends = tensor("x", (1 << 12, 8), 1e-4), tensor("y", (1 << 12, 8), 1 / 32768)
    return one_op.model("SOFTMAX", options, [ends[0]], ends[1]), (drawn(1 << 12, 8),)


CASES: dict[str, Callable[[], Case]] = {
    "MUL": product,
    "PRELU": sloped,
    "LOGISTIC": lambda: table("LOGISTIC", 1 / 256, (1 / 256, -128)),
    "TANH": lambda: table("TANH", 1 / 256, (1 / 128, 0)),
    "MUL int16": lambda: two_int16("MUL", schema.MulOptionsT(), (0.0013, 0.0017, 0.0711)),
    "SUB int16": lambda: two_int16("SUB", schema.SubOptionsT(), (0.0013, 0.0017, 0.0034)),
    "SUM int16": total_int16,
    "RSQRT int16": root_int16,
    "SOFTMAX int16": softmax_int16,
}


@pytest.mark.parametrize("case", CASES)
def test_the_definition_is_tflm_s(case: str) -> None:
    model, inputs = CASES[case]()
    (want,) = one_op.run_tflm(model, *inputs)
    (got,) = open_runtime("reference", tflite.serialize(model)).run(*inputs)
    np.testing.assert_array_equal(got, want)
    (other,) = one_op.run_litert(model, *inputs)
    assert (other != want).any()
