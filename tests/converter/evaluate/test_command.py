# SPDX-License-Identifier: Apache-2.0
"""The command on real images: digits, in the host library and in TFLM."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converter.contract import Contract, with_contract
from converter.plan.model import plan_model
from converter.tflite import parse, serialize
from keras_models.arch import ArchConfig
from keras_models.datasets.normalization import Normalization
from tests.commands import run_here
from tests.converter.compile import fused_models
from tests.tflm_custom_ops.builtins import one_op

ARCH = ArchConfig.uniform(
    name="tiny", image_size=8, channels=1, num_classes=10, patch_size=4, embed_dim=8, depth=1,
    heads=1, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluate")


def run(*arguments: str, dataset: str = "digits") -> subprocess.CompletedProcess[str]:
    given = [f"--dataset={dataset}"] if dataset else []
    return run_here("converter.evaluate", *given, *arguments)


def with_images(content: bytes) -> bytes:
    """The file, whose input takes -6 to 6, with how images become that."""
    contract = Contract(Normalization((123.0,), (20.0,)))
    return serialize(with_contract(parse(content), contract))


@pytest.fixture(scope="module")
def fused(folder: Path) -> Path:
    ops = fused_models.vit_ops(image=fused_models.ImageShape(8, 8, 1, 2, 2, 0))
    path = folder / "fused.tflite"
    path.write_bytes(plan_model(with_images(fused_models.model_bytes(ops))).model_bytes)
    return path


@pytest.fixture(scope="module")
def seven(folder: Path) -> Path:
    """A network of 7 classes, which digits are not."""
    ops = fused_models.vit_ops(image=fused_models.ImageShape(8, 8, 1, 2, 2, 0), classes=7)
    path = folder / "seven.tflite"
    path.write_bytes(plan_model(with_images(fused_models.model_bytes(ops))).model_bytes)
    return path


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """One convolution over the whole image."""
    from converter import tflite
    from converter.tflite.schema import schema

    rng = np.random.default_rng(0)
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = 0
    scale = np.full(10, 0.01, np.float32)
    weights = rng.integers(-127, 128, (10, 8, 8, 1)).astype(np.int8)
    inputs = [
        one_op.activation("x", (1, 8, 8, 1), 1 / 127.5, -1),
        one_op.constant("weights", weights, scale),
        one_op.constant("bias", np.zeros(10, np.int32), scale / 127.5),
    ]
    model = one_op.model("CONV_2D", options, inputs, one_op.activation("y", (1, 1, 1, 10), 0.5, 0))
    path = folder / "plain.tflite"
    path.write_bytes(plan_model(tflite.serialize(model)).model_bytes)
    return path


def test_fused_digits_in_host_and_tflm(folder, fused):
    out = folder / "report.json"
    words = [f"--model={fused}", "--runtime=host,tflm", "--count=50", f"--json={out}"]
    result = subprocess.run(
        [sys.executable, "-m", "converter.evaluate", "--dataset=digits", *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "host = tflm: 0 logits differ in 0 of 50 images" in result.stdout
    content = json.loads(out.read_text())
    assert content["comparisons"][0]["images"] == 50
    assert content["runtimes"]["host"]["images"] == 50
    assert np.sum(content["runtimes"]["tflm"]["confusion"]) == 50


def test_plain_model_in_three_runtimes(plain):
    result = run(f"--model={plain}", "--runtime=litert,host,tflm", "--count=50", "--threads=1")
    assert result.returncode == 0, result.stderr
    assert "host = tflm: 0 logits differ in 0 of 50 images" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--model=missing.tflite",), "missing.tflite: No such file"),
        (("--model={fused}", "--runtime=litert"), "VitAttention"),
        (("--model={fused}", "--runtime=cloud"), "litert, host, tflm, emulated"),
        (("--model={fused}", "--dataset=image_folder", "--data_dir=missing"), "missing"),
        (("--model={text}",), "notes.txt: got file identifier"),
        (("--model={fused}", "--runtime="), "--runtime: got none, expected some of reference"),
        (("--model={seven}",), "seven.tflite: 7 outputs, but digits has 10 classes; give"),
        (
            ("--model={fused}", "--plain_model={seven}", "--runtime=host,litert"),
            "seven.tflite: 7 outputs, but digits has 10 classes; give",
        ),
        (
            ("--model={fused}", "--network={trained}"),
            "trained: image size, channels, classes (8, 1, 7), expected (8, 1, 10)",
        ),
    ],
)
def test_bad_input_is_one_clear_line(folder, fused, seven, arguments, reason):
    text = folder / "notes.txt"
    text.write_text("this is not a model")
    names = {"fused": fused, "seven": seven, "text": text, "trained": trained(folder, 7)}
    result = run(*(a.format(**names) for a in arguments))
    expect_one_line(result, reason)


def test_a_data_set_is_named_or_comes_from_the_float_model(folder, fused):
    result = run(f"--model={fused}", dataset="")
    expect_one_line(result, "give --dataset=digits|fractals|image_folder|")
    directory = trained(folder, 10)
    (directory / "train.json").write_text('{"dataset": "image_folder"}')
    result = run(f"--model={fused}", f"--network={directory}", dataset="")
    expect_one_line(result, "train.json: trained on a folder of images; say where with --data_dir")


def trained(folder: Path, classes: int) -> Path:
    """The description of a trained network without its weights."""
    directory = folder / "trained"
    directory.mkdir(exist_ok=True)
    ARCH.replace(num_classes=classes).save(str(directory / "arch.json"))
    return directory


def expect_one_line(result: subprocess.CompletedProcess[str], reason: str) -> None:
    assert result.returncode != 0
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("evaluate: ")
    assert reason in lines[0]
