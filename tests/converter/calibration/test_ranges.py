# SPDX-License-Identifier: Apache-2.0
"""Percentile and mean-squared-error ranges: by themselves, and in the quantized file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.quantize.calibration import (
    Histogram,
    RangeChoice,
    choose_ranges,
    float_interpreter,
    mse_range,
    percentile_range,
)
from converter.quantize.ptq import calibrate, quantize, quantize_calibrated
from converter.sensitivity.report import short
from converter.tflite import parse
from keras_models.arch import ArchConfig
from tflm_vit.stderr import captured_stderr

ARCH = ArchConfig.uniform(
    name="tiny", image_size=8, channels=1, num_classes=3, patch_size=4, embed_dim=8, depth=1,
    heads=1, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip


def histogram(values: np.ndarray[Any, Any]) -> Histogram:
    result = Histogram.empty(float(values.min()), float(values.max()))
    result.add(values.astype(np.float32))
    return result


def int8_error(values: np.ndarray[Any, Any], low: float, high: float) -> float:
    """Mean squared error of a real quantization to 256 levels with zero among them."""
    scale = (high - low) / 255
    zero = np.round(-128 - low / scale)
    q = np.clip(np.round(values / scale) + zero, -128, 127)
    return float(np.mean((scale * (q - zero) - values) ** 2))


@given(st.integers(0, 1000), st.floats(0.5, 20.0))
@settings(max_examples=25, deadline=None)
def test_mse_range_errs_no_more_than_the_extremes(seed: int, tail: float) -> None:
    values = np.random.default_rng(seed).standard_t(tail + 1.5, 20_000) + tail / 10
    low, high = mse_range(histogram(values))
    assert values.min() <= low <= 0 <= high <= values.max()
    full = int8_error(values, min(values.min(), 0), max(values.max(), 0))
    assert int8_error(values, low, high) <= full * 1.02  # uniform rounding is an approximation


def test_mse_range_leaves_a_heavy_tail_out() -> None:
    values = np.random.default_rng(0).standard_t(3, 100_000)
    low, high = mse_range(histogram(values))
    assert high < 0.9 * values.max()
    assert int8_error(values, low, high) < 0.9 * int8_error(values, values.min(), values.max())


def test_mse_range_keeps_a_uniform_distribution() -> None:
    low, high = mse_range(histogram(np.random.default_rng(0).uniform(-2, 3, 100_000)))
    assert low == pytest.approx(-2, rel=0.03)
    assert high == pytest.approx(3, rel=0.03)


@given(st.integers(0, 1000), st.floats(95.0, 100.0))
@settings(max_examples=25, deadline=None)
def test_percentile_leaves_that_share_out(seed: int, percentile: float) -> None:
    values = np.random.default_rng(seed).normal(0, 1, 10_000)
    low, high = percentile_range(histogram(values), percentile)
    share = 1 - percentile / 100
    width = (values.max() - values.min()) / 2048
    assert np.mean(values < low) <= share + 1e-9
    assert np.mean(values > high) <= share + 1e-9
    assert np.mean(values < low + width) >= share - 1e-9  # no wider than a bin needs
    assert np.mean(values > high - width) >= share - 1e-9


def test_ranges_hold_zero() -> None:
    positive = histogram(np.random.default_rng(0).uniform(5, 6, 1000))
    for choice in (RangeChoice(), RangeChoice("percentile", 99.0), RangeChoice("mse")):
        low, high = choice.range_of(positive)
        assert low == 0.0
        assert high > 5.9


@pytest.mark.parametrize(("method", "percentile"), [("median", 99.0), ("percentile", 20.0)])
def test_refused_choices(method: str, percentile: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        RangeChoice(method, percentile)


# ---- in the file ---------------------------------------------------------------------------------


def images() -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    with captured_stderr():
        from keras_models.vit import build_vit, random_weights

        return random_weights(build_vit(ARCH), 1)


@pytest.fixture(scope="module")
def calibrated(model: Any) -> bytes:
    return calibrate(model, ARCH, images())


def scales(content: bytes, opcode: str) -> dict[str, float]:
    graph = parse(content).graph
    outputs = [op.outputs[0] for op in graph.operators if op.opcode == opcode]
    return {graph.tensors[i].name: graph.tensors[i].scale for i in outputs}


def test_the_calibrated_file_has_the_plain_files_activations(calibrated: bytes) -> None:
    """By name: sensitivity compares the two."""

    def activations(content: bytes) -> list[str]:
        graph = parse(content).graph
        ops = [op for op in graph.operators if op.opcode != "SPLIT"]  # its parts are renamed
        return [graph.tensors[i].name for op in ops for i in op.outputs]

    names = activations(calibrated)
    assert len(set(names)) == len(names)
    assert activations(quantize_calibrated(calibrated)) == names


@pytest.mark.parametrize("choice", [RangeChoice("percentile", 95.0), RangeChoice("mse")])
def test_chosen_ranges_are_the_files_scales(
    model: Any, calibrated: bytes, choice: RangeChoice
) -> None:
    narrowed = quantize_calibrated(choose_ranges(calibrated, images(), choice))
    if choice.method == "mse":  # the whole way, once
        assert quantize(model, ARCH, images(), ranges=choice) == narrowed
    interpreter = float_interpreter(calibrated)
    graph = parse(calibrated).graph
    gelu = next(op.outputs[0] for op in graph.operators if op.opcode == "GELU")
    values = []
    for image in images():
        interpreter.set_tensor(graph.inputs[0], image[None])
        interpreter.invoke()
        values.append(interpreter.get_tensor(gelu).copy())
    low, high = choice.range_of(histogram(np.stack(values)))
    name = graph.tensors[gelu].name
    assert scales(narrowed, "GELU")[name] == pytest.approx((high - low) / 255, rel=1e-3)
    wide = scales(quantize_calibrated(calibrated), "GELU")[name]
    if choice.method == "percentile":
        assert scales(narrowed, "GELU")[name] < wide


def test_residual_logits_and_input_keep_their_extremes(calibrated: bytes) -> None:
    choice = RangeChoice("percentile", 90.0)
    narrowed = quantize_calibrated(choose_ranges(calibrated, images(), choice))
    plain = quantize_calibrated(calibrated)
    a, b = parse(narrowed).graph, parse(plain).graph
    ends = [(g.tensors[g.inputs[0]].scale, g.tensors[g.outputs[0]].scale) for g in (a, b)]
    assert ends[0] == ends[1]
    stream = ("embedding", "block0_add1", "block0_add2")
    residual = {n: s for n, s in scales(plain, "ADD").items() if short(n) in stream}
    assert len(residual) == 3
    assert {n: scales(narrowed, "ADD")[n] for n in residual} == residual
    dense = scales(plain, "FULLY_CONNECTED")
    assert scales(narrowed, "FULLY_CONNECTED") != dense
