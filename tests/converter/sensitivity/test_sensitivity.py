# SPDX-License-Identifier: Apache-2.0
"""Sensitivity: the operator that was made bad on purpose is the one that is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converter.evaluate.metrics import sqnr_db
from converter.fuse import fuse_model
from converter.quantize.calibration import set_range
from converter.quantize.ptq import calibrate, quantize_calibrated
from converter.runtimes.reference import GraphInterpreter
from converter.sensitivity.pieces import FloatPiece
from converter.sensitivity.report import SensitivityReport, short
from converter.sensitivity.study import Study
from converter.sensitivity.values import quantized, real
from converter.tflite import TfliteError, parse
from converter.tflite.flatbuffer import pack, unpack
from keras_models.arch import ArchConfig
from tests.commands import run_here
from tflm_vit.stderr import captured_stderr

ARCH = ArchConfig.uniform(
    name="tiny", image_size=8, channels=1, num_classes=5, patch_size=4, embed_dim=16, depth=2,
    heads=2, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip


def images(count: int, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 8, 8, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    with captured_stderr():
        from keras_models.vit import build_vit, random_weights

        return random_weights(build_vit(ARCH), 1)


@pytest.fixture(scope="module")
def calibrated(model: Any) -> bytes:
    return calibrate(model, ARCH, images(16, 0))


def widened(calibrated: bytes, opcode: str, rank: int, factor: float) -> bytes:
    """The file with the range of the `rank`-th operator of a kind far too wide."""
    graph = parse(calibrated).graph
    outputs = [op.outputs[0] for op in graph.operators if op.opcode == opcode]
    tree = unpack(calibrated)
    tensor = tree.subgraphs[0].tensors[outputs[rank]]
    low, high = tensor.quantization.min[0], tensor.quantization.max[0]
    set_range(tensor, float(low) * factor, float(high) * factor)
    return pack(tree)


@pytest.fixture(scope="module")
def fine(calibrated: bytes) -> SensitivityReport:
    study = Study(calibrated, quantize_calibrated(calibrated), 16)
    return study.run(images(8, 1), None, lambda n: None)


@pytest.mark.parametrize(
    ("opcode", "rank", "name"), [("GELU", 1, "VitMlp"), ("BATCH_MATMUL", 1, "VitAttention")]
)
def test_the_bad_operator_stands_out(
    calibrated: bytes, fine: SensitivityReport, opcode: str, rank: int, name: str
) -> None:
    bad = widened(calibrated, opcode, rank, 120.0)
    report = Study(bad, quantize_calibrated(bad), 16).run(images(8, 1), None, lambda n: None)
    worst = min(report.operators, key=lambda op: op.own_db or 99)
    assert worst.name == name
    assert worst == min(report.operators, key=lambda op: op.alone_db or 99)
    assert worst == max(report.operators, key=lambda op: op.left_out_db or 99)
    assert worst.own_db < fine.operators[worst.index].own_db - 6
    assert report.db < fine.db - 3
    assert worst.left_out_db > report.db + 3
    assert worst.alone_accuracy is None


@pytest.mark.parametrize("bits", [8, 16])
def test_logits_are_those_of_the_whole_networks(model: Any, calibrated: bytes, bits: int) -> None:
    """Pieces in a row equal the Keras model; operators in a row equal the interpreted file."""
    plain = quantize_calibrated(calibrated)
    pictures = images(6, 2)
    logits = np.asarray(model.predict_on_batch(pictures))
    labels = np.argmax(logits, axis=1)
    report = Study(calibrated, plain, bits).run(pictures, labels, lambda n: None)
    assert report.float_accuracy == 1.0
    fused = GraphInterpreter(fuse_model(plain, bits).model_bytes)
    graph = fused.model.graph
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    got = np.stack([real(fused.run(quantized(p, x)), y).reshape(-1) for p in pictures])
    assert report.db == pytest.approx(sqnr_db(logits, got), abs=0.05)
    assert report.accuracy == np.mean(np.argmax(got, axis=1) == labels)
    last = report.operators[-1]
    assert last.own_db == pytest.approx(last.alone_db, abs=1e-6)


def test_layers(calibrated: bytes) -> None:
    plain = quantize_calibrated(calibrated)
    report = Study(calibrated, plain, 8).run(images(4, 1), None, lambda n: None)
    assert len(report.layers) == 1 + 4 * ARCH.depth + 1
    assert all(40 < layer.weights_db < 60 for layer in report.layers)  # int8 per channel
    assert all(layer.output_db > 25 for layer in report.layers)
    narrow = quantize_calibrated(widened(calibrated, "FULLY_CONNECTED", 2, 0.5))
    clipped = Study(calibrated, narrow, 8).run(images(4, 1), None, lambda n: None)
    assert clipped.layers[3].clipped > 0.001
    assert clipped.layers[3].output_db < report.layers[3].output_db


def test_a_piece_that_needs_more_is_refused(calibrated: bytes) -> None:
    graph = parse(calibrated).graph
    matmul = next(op for op in graph.operators if op.opcode == "BATCH_MATMUL")
    with pytest.raises(TfliteError, match=r"reads .* as well"):
        FloatPiece(graph, matmul.inputs[0], graph.outputs[0])


def test_short_names() -> None:
    assert short("vit_1/block0_norm1_1/mul_2;vit_1/block0_fc1_1/BiasAdd", -1) == "block0_fc1"
    assert short("vit_1/block0_add1_1/Add;vit_1/block0_proj_1/BiasAdd") == "block0_add1"
    assert short("StatefulPartitionedCall_1:0") == "logits"


def test_command(tmp_path: Path) -> None:
    ARCH.replace(num_classes=10).save(str(tmp_path / "a.json"))
    out, chart = tmp_path / "s.json", tmp_path / "s.png"
    command = [
        sys.executable, "-m", "converter.sensitivity", f"--network={tmp_path}/a.json",
        "--weights=random", "--dataset=digits", "--count=5", "--calibration_count=5",
        f"--json={out}", f"--png={chart}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tree = json.loads(out.read_text())
    assert tree["images"] == 5
    assert [op["name"] for op in tree["operators"]][:3] == [
        "VitPatchEmbed", "VitAttention", "VitMlp",
    ]  # fmt: skip
    assert 0 <= tree["accuracy"] <= 1
    assert chart.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert not list(tmp_path.glob("*.tmp"))
    assert tree["command"].endswith("--calibration_count=5 --json=s.json --png=s.png")


@pytest.mark.parametrize(
    ("dataset", "arguments", "reason"),
    [
        ("digits", ["--weights=none"], "none: no such weights file"),
        ("digits", ["--count=360"], "test split: 360 images asked for, expected 1 to 359"),
        ("digits", ["--network={folder}/five.json"], "digits has 10 classes, the network 5: "),
        ("", [], "--weights=random does not say one: give --dataset=digits|"),
        ("digits", ["--png={folder}"], "{folder}: got a folder, expected the name of a file"),
        ("digits", ["--json={folder}/a.json/s.json"], "{folder}/a.json: "),
        ("digits", ["more"], "unexpected argument 'more'"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    tmp_path: Path, dataset: str, arguments: list[str], reason: str
) -> None:
    ARCH.save(str(tmp_path / "five.json"))
    ARCH.replace(num_classes=10).save(str(tmp_path / "a.json"))
    words = [f"--network={tmp_path}/a.json", "--weights=random"]
    words += [f"--dataset={dataset}"] * bool(dataset)
    words += [a.format(folder=tmp_path) for a in arguments]
    done = run_here("converter.sensitivity", *words)
    assert done.returncode == (2 if "more" in arguments else 1)
    assert done.stderr.startswith("sensitivity: ")
    assert reason.format(folder=tmp_path) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "five.json"]


def test_images_of_other_classes_are_refused(tmp_path: Path) -> None:
    """As many classes, others: the accuracies were those of chance, without a word."""
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((8, 8), 20 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    network = tmp_path / "network"
    network.mkdir()
    ARCH.replace(num_classes=2).save(network / "arch.json")
    (network / "model.weights.h5").touch()
    data = {"name": "image_folder", "class_names": ["cat", "dog"], "images": 20, "digest": "0"}
    (network / "train.json").write_text(json.dumps({"dataset": "image_folder", "data": data}))
    words = [f"--network={network}", "--dataset=image_folder", f"--data_dir={tmp_path}/photos"]
    done = run_here("converter.sensitivity", *words)
    assert done.returncode == 1
    assert "class 0 is 'cat' there and 'a' here; give the data set of" in done.stderr
    done = run_here("converter.sensitivity", *words, "--allow_other_data")
    assert "class 0 is" not in done.stderr
