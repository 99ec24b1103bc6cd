# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: the plain file, and calibration sets that are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.quantize.ptq import QuantizeError, check_calibration, quantize
from converter.tflite import parse
from keras_models.arch import ArchConfig
from tests.commands import run_here
from tflm_vit.stderr import captured_stderr

ARCH = ArchConfig.uniform(
    name="tiny", image_size=8, channels=1, num_classes=3, patch_size=4, embed_dim=8, depth=1,
    heads=1, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip


def images(count: int = 4) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (count, 8, 8, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    with captured_stderr():
        from keras_models.vit import build_vit, random_weights

        return random_weights(build_vit(ARCH), 1)


@pytest.fixture(scope="module")
def plain(model: Any) -> bytes:
    return quantize(model, ARCH, images())


def test_plain_file_is_int8_with_batch_1(plain: bytes) -> None:
    graph = parse(plain).graph
    for index, shape in ((graph.inputs[0], (1, 8, 8, 1)), (graph.outputs[0], (1, 3))):
        assert graph.tensors[index].dtype == np.int8
        assert graph.tensors[index].shape == shape
    activations = {t.dtype for t in graph.tensors if not t.is_constant}
    assert activations == {np.dtype(np.int8)}


def test_input_range_is_that_of_the_images(plain: bytes) -> None:
    graph = parse(plain).graph
    scale = graph.tensors[graph.inputs[0]].scale
    assert scale == pytest.approx(float(np.ptp(images())) / 255, rel=0.01)


def test_same_images_same_file(model: Any, plain: bytes) -> None:
    assert quantize(model, ARCH, images()) == plain


def test_per_tensor_weights(model: Any) -> None:
    graph = parse(quantize(model, ARCH, images(), per_channel=False)).graph
    dense = [op for op in graph.operators if op.opcode == "FULLY_CONNECTED"]
    assert dense
    assert {len(graph.tensors[op.inputs[1]].quantization.scale) for op in dense} == {1}


@pytest.mark.parametrize(
    ("calibration", "reason"),
    [
        (np.zeros((5, 8, 8, 1)), "all 5 are constant"),
        (np.linspace(-1, 1, 4).reshape(4, 1, 1, 1) * np.ones((4, 8, 8, 1)), "all 4 are constant"),
        (np.repeat(images(1), 3, axis=0), "all 3 are the same image"),
        (np.full((2, 8, 8, 1), np.nan), "not finite"),
        (np.zeros((0, 8, 8, 1)), "at least 1"),
        (np.zeros((3, 9, 8, 1)), r"got shape \[3, 9, 8, 1\]"),
        (np.zeros((8, 8, 1)), r"got shape \[8, 8, 1\]"),
    ],
)
def test_refused_calibration(calibration: np.ndarray[Any, Any], reason: str) -> None:
    with pytest.raises(QuantizeError, match=reason):
        check_calibration(calibration, ARCH)


def test_colour_images_that_are_plain_areas_are_refused() -> None:
    """Every image one colour: channels differ, pixels do not."""
    arch = ARCH.replace(channels=3)
    colours = np.random.default_rng(0).uniform(-1, 1, (4, 1, 1, 3)) * np.ones((4, 8, 8, 3))
    with pytest.raises(QuantizeError, match="constant"):
        check_calibration(colours, arch)


def test_refusal_comes_before_the_work() -> None:
    with pytest.raises(QuantizeError, match="constant"):
        quantize(None, ARCH, np.zeros((5, 8, 8, 1), np.float32))


def test_some_plain_images_are_fine() -> None:
    mixed = np.concatenate([images(2), np.zeros((3, 8, 8, 1), np.float32)])
    assert check_calibration(mixed, ARCH).dtype == np.float32


def quantize_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "converter.quantize", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command(tmp_path: Path) -> None:
    arch, out, report = tmp_path / "a.json", tmp_path / "p.tflite", tmp_path / "r.json"
    ARCH.replace(num_classes=10).save(str(arch))
    done = quantize_command(
        f"--network={arch}", "--weights=random", "--seed=2", "--dataset=digits",
        "--calibration_count=6", f"--out={out}", f"--json={report}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "6 images of digits" in done.stdout
    tree = json.loads(report.read_text())
    assert tree["calibration_images"] == 6
    assert tree["model_bytes"] == out.stat().st_size
    assert parse(out.read_bytes()).graph.tensors[0].dtype == np.int8


def test_command_without_a_network(tmp_path: Path) -> None:
    done = run_here("converter.quantize", f"--out={tmp_path}/p.tflite")
    assert done.returncode == 2
    assert done.stderr.startswith("quantize: --network is missing: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
