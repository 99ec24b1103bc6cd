# SPDX-License-Identifier: Apache-2.0
"""The trained weights that come with presets: they load, and they are what their record says."""

import json
import os

import numpy as np
import pytest

from keras_models.load import (
    SHIPPED,
    TRAIN_FILE,
    resolve_arch,
    resolve_model,
    trained_directory,
)

NAMES = sorted(os.listdir(SHIPPED))
RESULTS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "results")


def test_the_cifar_networks_come_with_weights() -> None:
    assert {"hybrid_32", "hybrid_32_wide"} <= set(NAMES)
    assert trained_directory("vit_t_240") is None


@pytest.mark.parametrize("name", NAMES)
def test_weights_load_by_preset_name(name: str) -> None:
    arch, model = resolve_model(name)
    assert arch == resolve_arch(name)
    images = np.random.default_rng(0).uniform(-1, 1, (4, arch.image_size, arch.image_size, 3))
    logits = np.asarray(model(images.astype(np.float32), training=False))
    assert np.isfinite(logits).all()
    _, random = resolve_model(name, weights="random")
    assert np.abs(logits - np.asarray(random(images.astype(np.float32)))).max() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_record_is_of_this_network_and_names_no_machine(name: str) -> None:
    with open(os.path.join(SHIPPED, name, TRAIN_FILE), encoding="utf-8") as file:
        text = file.read()
    record = json.loads(text)
    assert record["arch"] == name
    assert record["params"] == resolve_arch(name).params
    assert record["epochs"] == record["recipe"]["epochs"] == len(record["history"])
    while record:  # what it began as, and what that began as
        assert "=/" not in record["command"]
        record = record.get("before")


@pytest.mark.parametrize(
    ("name", "scores"), [("hybrid_32", "cifar10"), ("hybrid_32_wide", "cifar10_wide")]
)
def test_recorded_float_accuracy_is_the_trained_one(name: str, scores: str) -> None:
    with open(os.path.join(SHIPPED, name, TRAIN_FILE), encoding="utf-8") as file:
        trained = json.load(file)
    with open(os.path.join(RESULTS, f"accuracy_{scores}.json"), encoding="utf-8") as file:
        measured = json.load(file)
    assert measured["network"] == name
    floats = [score for score in measured["scores"] if score["name"] == "float"]
    assert measured["images"] == trained["images"]["test"] == 10_000
    assert floats[0]["top1"] == pytest.approx(trained["test_accuracy"], abs=2e-4)
