# SPDX-License-Identifier: Apache-2.0
"""`converter.quantize --calibration_dir`: images from anywhere under a folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converter.tflite import parse
from keras_models.arch import ArchConfig
from tests.commands import run_here

ARCH = ArchConfig.uniform(
    name="tiny", image_size=8, channels=3, num_classes=3, patch_size=4, embed_dim=8, depth=1,
    heads=1, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five classes with one image each, the brightest byte of all being 200."""
    rng = np.random.default_rng(0)
    for name in "abcde":
        (tmp_path / "images" / name).mkdir(parents=True)
        pixels = rng.integers(0, 200, (8, 8, 3), np.uint8)
        pixels[0, 0] = 200
        Image.fromarray(pixels).save(tmp_path / "images" / name / "one.png")
    return tmp_path / "images"


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ARCH.save(str(tmp_path / "a.json"))
    words = [f"--network={tmp_path}/a.json", "--weights=random", f"--out={tmp_path}/p.tflite"]
    return run_here("converter.quantize", *words, f"--json={tmp_path}/r.json", *arguments)


@pytest.mark.parametrize("count", [["--calibration_count=5"], []])
def test_one_image_classes(tmp_path: Path, folder: Path, count: list[str]) -> None:
    """Without a count a folder of fewer than its default is taken whole."""
    done = run(tmp_path, f"--calibration_dir={folder}", *count)
    assert done.returncode == 0, done.stderr
    assert f"5 images of {folder}" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["calibration_images"] == 5
    graph = parse((tmp_path / "p.tflite").read_bytes()).graph
    x = graph.tensors[graph.inputs[0]]
    largest = x.scale * (127 - x.zero_point)
    assert largest == pytest.approx(200 / 127.5 - 1, abs=0.02)  # the folder's images, not digits


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--calibration_count=6"], "6 images asked for, expected 1 to 5"),
        (["--calibration_dir=/nowhere"], "/nowhere: no such folder"),
        # Without a folder: the same refusal, and no data set that nobody named.
        (
            ["--calibration_dir=", "--dataset=digits", "--calibration_count=1260"],
            "train split: 1260 images asked for, expected 1 to 1259",
        ),
        (["--calibration_dir="], "--weights=random does not say one: give --dataset=digits|"),
        (["--qat"], "--weights=random does not say one: give --dataset=digits|"),
    ],
)
def test_refusals(tmp_path: Path, folder: Path, arguments: list[str], reason: str) -> None:
    done = run(tmp_path, f"--calibration_dir={folder}", *arguments)
    assert done.returncode == 1
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("p.tflite*"))


def test_the_folder_of_the_training_is_asked_for(tmp_path: Path, folder: Path) -> None:
    """What the network was trained on is read from train.json; where it lies is not there."""
    trained = tmp_path / "trained"
    trained.mkdir()
    ARCH.save(str(trained / "arch.json"))
    (trained / "train.json").write_text('{"dataset": "image_folder"}')
    done = run(tmp_path, f"--network={trained}", "--weights=trained")
    assert done.returncode == 1
    assert done.stderr == (
        f"quantize: {trained}/train.json: trained on a folder of images; say where with "
        "--data_dir, or give --dataset or --calibration_dir=FOLDER\n"
    )


def test_plain_images_are_refused_with_the_reason(tmp_path: Path) -> None:
    images = tmp_path / "grey"
    images.mkdir()
    for level in (10, 90, 170):
        Image.new("RGB", (8, 8), (level, level, level)).save(images / f"{level}.png")
    done = run(tmp_path, f"--calibration_dir={images}", "--calibration_count=3")
    assert done.returncode == 1
    assert "all 3 are constant" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "p.tflite").exists()
