# SPDX-License-Identifier: Apache-2.0
"""The Python interpreter: results, arena figures, and TFLM's own words when something is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from converter.plan.offline import with_offline
from converter.runtimes.tflm import plain_gelu
from converter.runtimes.tflm.errors import (
    TflmArenaError,
    TflmInvokeError,
    TflmModelError,
)
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.runtimes.tflm.stderr_capture import StderrCapture
from converter.tflite import parse, serialize

SHAPE = (1, 16, 16)
PlainModel = Callable[..., bytes]
ALL_VALUES = np.arange(-128, 128, dtype=np.int16).astype(np.int8).reshape(SHAPE)


def test_plain_model_runs(plain_model: PlainModel) -> None:
    interpreter = TflmInterpreter(plain_model(SHAPE, [("LOGISTIC",)]))
    got = interpreter.invoke(ALL_VALUES)
    real = 1 / (1 + np.exp(-0.05 * (ALL_VALUES.astype(float) - 3)))
    assert got.dtype == np.int8
    assert np.abs(got - (np.round(real * 256) - 128)).max() <= 1
    details = interpreter.inputs[0]
    assert (details.shape, details.zero_point) == (SHAPE, 3)
    assert details.scale == pytest.approx(0.05)


def test_arena_figure_is_the_smallest_arena(plain_model: PlainModel) -> None:
    model = plain_model(SHAPE, [("LOGISTIC",)] * 3)
    usage = TflmInterpreter(model).arena_usage
    assert usage.total_bytes == usage.head_bytes + usage.tail_bytes
    assert usage.head_bytes >= 2 * 256
    assert sum(r.used_bytes for r in usage.records) <= usage.tail_bytes
    exact = TflmInterpreter(model, usage.total_bytes)
    assert exact.arena_used_bytes == usage.total_bytes
    exact.invoke(ALL_VALUES)
    with pytest.raises(TflmArenaError, match=f"the model needs {usage.total_bytes}"):
        TflmInterpreter(model, usage.total_bytes - 1)


@pytest.mark.parametrize("arena_bytes", [-5, 0, 1, 100, 700, 1 << 31])
def test_tiny_arena_is_an_error(plain_model: PlainModel, arena_bytes: int) -> None:
    with pytest.raises(TflmArenaError, match="arena"):
        TflmInterpreter(plain_model(SHAPE, [("LOGISTIC",)]), arena_bytes)


def test_tflm_says_which_operator_it_lacks(plain_model: PlainModel) -> None:
    with pytest.raises(TflmModelError, match="Didn't find op for builtin opcode 'GELU'"):
        TflmInterpreter(plain_model(SHAPE, [("GELU", "GeluOptions")]))


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 16, 15), np.int8),
        np.zeros((16, 16), np.int8),
        np.zeros(SHAPE, np.uint8),
        np.zeros(SHAPE, np.float32),
    ],
)
def test_wrong_input_is_refused(plain_model: PlainModel, x: np.ndarray) -> None:
    interpreter = TflmInterpreter(plain_model(SHAPE, [("LOGISTIC",)]))
    with pytest.raises(TflmInvokeError, match="expected int8"):
        interpreter.invoke(x)
    with pytest.raises(TflmInvokeError, match="got 2, expected 1"):
        interpreter.invoke_all(ALL_VALUES, ALL_VALUES)


def test_intermediate_tensors_can_be_kept(plain_model: PlainModel) -> None:
    model = plain_model(SHAPE, [("LOGISTIC",), ("LOGISTIC",)])
    interpreter = TflmInterpreter(model, preserve_all_tensors=True)
    interpreter.invoke(ALL_VALUES)
    one = TflmInterpreter(plain_model(SHAPE, [("LOGISTIC",)])).invoke(ALL_VALUES)
    np.testing.assert_array_equal(interpreter.tensor(1), one)
    with pytest.raises(TflmInvokeError, match="preserve_all_tensors"):
        _ = interpreter.arena_usage


def _exact_gelu(x: float) -> float:
    return x * 0.5 * math.erfc(-x / math.sqrt(2))


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_is_replaced_by_its_table(plain_model: PlainModel, approximate: bool) -> None:
    data = plain_model(SHAPE, [("GELU", "GeluOptions", 0.02, -90), ("LOGISTIC",)])
    model = parse(data)
    model.graph.operators[0].options.approximate = approximate
    replaced = plain_gelu.replace_gelu(serialize(model))
    interpreter = TflmInterpreter(replaced, preserve_all_tensors=True)
    interpreter.invoke(ALL_VALUES)
    y = interpreter.tensor(1).astype(int).ravel()
    real = 0.05 * (ALL_VALUES.ravel().astype(float) - 3)
    if approximate:
        gelu = 0.5 * real * (1 + np.tanh(math.sqrt(2 / math.pi) * (real + 0.044715 * real**3)))
    else:
        gelu = np.array([_exact_gelu(v) for v in real])
    assert np.abs(y - np.clip(gelu / 0.02 - 90, -128, 127)).max() <= 0.5 + 1e-3
    assert len(set(y.tolist())) > 50


def test_gelu_table_over_all_values() -> None:
    table = plain_gelu.gelu_table(0.05, 3, 0.02, -90, False)
    expected = [_exact_gelu(0.05 * (v - 3)) / 0.02 - 90 for v in range(-128, 128)]
    assert np.abs(table - np.clip(expected, -128, 127)).max() <= 0.5 + 1e-9


def test_file_without_gelu_is_returned_as_it_is(plain_model: PlainModel) -> None:
    data = plain_model(SHAPE, [("LOGISTIC",)])
    assert plain_gelu.replace_gelu(data) is data


def test_gelu_replacement_keeps_a_plan(plain_model: PlainModel) -> None:
    model = parse(plain_model(SHAPE, [("GELU", "GeluOptions"), ("LOGISTIC",)]))
    replaced = plain_gelu.replace_gelu(serialize(with_offline(model, [0, 512, 1024])))
    assert TflmInterpreter(replaced).arena_usage.head_bytes == 1024 + 256


def test_capture_gives_stderr_back(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with StderrCapture() as captured:
        os.write(2, b"inside\r\n")
    os.write(2, b"outside\n")
    assert captured.text == "inside\r\n"
    assert capfd.readouterr().err == "outside\n"
