# SPDX-License-Identifier: Apache-2.0
"""Evaluation of runtimes, with runtimes whose answers are known."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from converter.evaluate import report
from converter.evaluate.evaluation import ModelEnds, compare, evaluate_runtime
from converter.runtimes import RuntimeUnavailableError, TensorSpec, open_runtime, registry

ENDS = ModelEnds((2, 2, 1), 0.5, -3, 0.25, 10, (4,))


@dataclasses.dataclass
class Data:
    """Images whose first pixel is their label."""

    count: int = 10

    def __len__(self) -> int:
        return self.count

    def batches(self, batch_size: int):
        labels = np.arange(self.count) % 4
        images = np.zeros((self.count, 2, 2, 1), np.float32)
        images[:, 0, 0, 0] = labels
        for start in range(0, self.count, batch_size):
            yield images[start : start + batch_size], labels[start : start + batch_size]


class Knows:
    """Reads the label from the quantized image; wrong in the given images."""

    inputs = (TensorSpec("image", (1, 2, 2, 1), np.dtype(np.int8), 0.5, -3),)

    def __init__(self, wrong: tuple[int, ...] = ()) -> None:
        self._wrong = wrong
        self._seen = 0

    def run_batch(self, images):
        labels = (images[:, 0, 0, 0, 0].astype(int) + 3) * 0.5
        logits = np.full((len(images), 4), -50, np.int8)
        for i, label in enumerate(labels):
            shift = (self._seen + i) in self._wrong
            logits[i, (int(label) + shift) % 4] = 100
        self._seen += len(images)
        return (logits[:, np.newaxis],)


def evaluate(runtime, name="host", count=10, float_logits=None):
    progress = []
    result = evaluate_runtime(
        name, runtime, ENDS, Data(count), float_logits, lambda *step: progress.append(step)
    )
    return result, progress


def test_a_runtime_that_is_right():
    result, progress = evaluate(Knows())
    assert result.scores.top1 == 1.0
    assert result.scores.images == 10
    assert progress[-1] == ("host", 10, 10)
    assert result.float_agreement is None


def test_a_runtime_that_is_wrong_twice():
    result, _ = evaluate(Knows((1, 9)), name="tflm")
    assert result.scores.top1 == 0.8
    assert np.trace(result.scores.confusion) == 8


def test_agreement_with_float():
    reference, _ = evaluate(Knows())
    float_logits = ENDS.dequantize(reference.logits)
    result, _ = evaluate(Knows((0, 1, 2)), count=6, float_logits=float_logits)
    assert result.float_agreement == 0.5
    # Rows of 3 * 15**2 + 22.5**2; a wrong row differs twice by 37.5.
    ratio = 6 * (3 * 15**2 + 22.5**2) / (3 * 2 * 37.5**2)
    assert result.float_sqnr_db == pytest.approx(10 * np.log10(ratio))
    same, _ = evaluate(Knows(), float_logits=float_logits)
    assert same.float_agreement == 1.0
    assert same.float_sqnr_db == np.inf


def test_every_logit_is_compared_on_the_common_images():
    a, _ = evaluate(Knows())
    b, _ = evaluate(Knows((3, 9)), name="tflm", count=6)
    c, _ = evaluate(Knows(), name="emulated", count=2)
    first, second, third = compare([a, b, c])
    assert (first.first, first.second, first.images) == ("host", "tflm", 6)
    assert (first.images_different, first.logits_different, first.max_difference) == (1, 2, 150)
    assert (second.images, second.logits_different) == (2, 0)
    assert third.logits_different == 0


def test_quantization_rounds_half_away_and_saturates():
    x = np.array([0.25, -0.25, 0.2, 1000.0, -1000.0], np.float32)
    assert ENDS.quantize(x).tolist() == [-2, -4, -3, 127, -128]
    assert ENDS.dequantize(np.array([10, 14], np.int8)).tolist() == [0.0, 1.0]


def test_the_report_is_complete_json():
    a, _ = evaluate(Knows(), float_logits=ENDS.dequantize(evaluate(Knows())[0].logits))
    b, _ = evaluate(Knows((1,)), name="tflm")
    content = report.Report("m.tflite", "digits", "test", a.scores, (a, b), compare([a, b]))
    parsed = json.loads(report.to_json(content))
    assert parsed["runtimes"]["host"]["top1"] == 1.0
    assert parsed["runtimes"]["host"]["float_sqnr_db"] is None  # infinite
    assert parsed["runtimes"]["tflm"]["float_agreement"] is None
    assert parsed["comparisons"][0]["logits_different"] == 2
    assert len(parsed["runtimes"]["tflm"]["confusion"]) == 4
    assert "2 logits differ in 1 of 10 images" in report.to_text(content)


def test_unknown_runtimes_and_missing_packages(monkeypatch):
    with pytest.raises(
        RuntimeUnavailableError, match="expected reference, litert, host, tflm, emulated"
    ):
        open_runtime("gpu", b"")
    entry = dataclasses.replace(registry.RUNTIMES[0], name="other", module="no_such_package.x")
    monkeypatch.setattr(registry, "RUNTIMES", (entry,))
    with pytest.raises(RuntimeUnavailableError, match=r"other is not available.*no_such_package"):
        open_runtime("other", b"")


def test_every_registered_factory_exists():
    """The emulated one lives in a package that this one must not import."""
    import importlib

    for entry in registry.RUNTIMES:
        assert callable(getattr(importlib.import_module(entry.module), entry.attribute))
        assert entry.batch > 0
