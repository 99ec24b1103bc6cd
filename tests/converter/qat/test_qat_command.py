# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.quantize --qat`, on a network with a convolutional stem, at 4 bits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.qat import train
from converter.qat.network import QatError
from converter.tflite import parse
from keras_models.arch import ArchConfig, StemLayer
from keras_models.datasets import Dataset
from keras_models.load import TRAIN_FILE, WEIGHTS_FILE
from keras_models.training.recipe import Recipe
from keras_models.vit import build_vit
from tests.commands import run_here

ARCH = ArchConfig.uniform(
    name="vit_digits", image_size=8, channels=1, num_classes=10, patch_size=2, embed_dim=16,
    depth=1, heads=2, head_dim=8, mlp_ratio=2.0,
    stem=(StemLayer(3, 1, 6, "relu", True), StemLayer(3, 2, 8, "gelu")),
)  # fmt: skip


def test_command(tmp_path: Path) -> None:
    ARCH.save(str(tmp_path / "a.json"))
    done = run_here(
        "converter.quantize", f"--network={tmp_path}/a.json",
        "--weights=random", "--dataset=digits", "--calibration_count=8", "--qat", "--qat_epochs=1",
        "--weight_bits=4", f"--out={tmp_path}/q.tflite", f"--json={tmp_path}/r.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 epochs, validation" in done.stdout
    # A fine-tuning can always be gone on with, and leaves nothing once its result is written.
    assert f"checkpoints in {tmp_path}/q.tflite.qat until" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "q.tflite", "r.json"]
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["qat"]["epochs"] == 1
    assert report["qat"]["weight_bits"] == 4
    # What was trained is on the grid: nothing rounds it otherwise.
    assert report["weight_bits"]["rounding"] == "nearest"
    graph = parse((tmp_path / "q.tflite").read_bytes()).graph
    layers = [op for op in graph.operators if op.opcode in ("FULLY_CONNECTED", "CONV_2D")]
    assert len(layers) == len(report["weight_bits"]["layers"]) == 8
    assert all(np.abs(graph.tensors[op.inputs[1]].data).max() == 7 for op in layers)
    result = fuse_model((tmp_path / "q.tflite").read_bytes(), 16)
    codes = [op.custom_code for op in result.report.fused]
    assert {"VitPatchEmbed", "VitAttention", "VitMlp", "VitGelu"} <= set(codes)


def test_layers_that_are_not_known_yet_are_not_trained(tmp_path: Path) -> None:
    ARCH.save(str(tmp_path / "a.json"))
    done = run_here(
        "converter.quantize", f"--network={tmp_path}/a.json", "--weights=random",
        "--dataset=digits", "--qat", "--weight_bits=auto", "--flash=9999",
        f"--out={tmp_path}/q.tflite",
    )  # fmt: skip
    assert done.returncode == 1
    assert "--qat trains with --weight_bits=4 or 8, got auto: give one of them" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json"]


def test_images_are_moved_as_in_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe of the network's name alone mirrored digits of a network of another name."""
    arch = ARCH.replace(name="mine", stem=())
    arch.save(str(tmp_path / "arch.json"))
    build_vit(arch).save_weights(tmp_path / WEIGHTS_FILE)
    recipe = Recipe(flip=False, translation=0.25)
    record = {"dataset": "digits", "recipe": dataclasses.asdict(recipe)}
    (tmp_path / TRAIN_FILE).write_text(json.dumps(record))
    seen = []

    def spied(data: Dataset, geometry: Recipe, own: train.QatRecipe) -> Any:
        seen.append(geometry)
        raise QatError("seen")

    monkeypatch.setattr(train, "_batches", spied)
    done = run_here(
        "converter.quantize", f"--network={tmp_path}", "--calibration_count=8", "--qat",
        f"--out={tmp_path}/q.tflite",
    )  # fmt: skip
    assert "seen" in done.stderr
    assert seen == [recipe]
