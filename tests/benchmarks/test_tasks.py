# SPDX-License-Identifier: Apache-2.0
"""The table of docs/tasks.md is what its record gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.box_limits import BoxLimits, box_limits
from benchmarks.near_texts import counted, near_texts
from benchmarks.task_forms import constant
from benchmarks.task_tables import boxes_table, commands_list, rendered, table
from benchmarks.task_trainings import training_of
from benchmarks.tasks import PAGE, RECORD
from keras_models.datasets import Split
from keras_models.datasets.core import ArraySource
from keras_models.load import TRAIN_FILE, WEIGHTS_FILE
from keras_models.tasks import TASKS
from keras_models.training.fit import digest_of
from tflm_vit.files import FileError


@pytest.mark.skipif(not RECORD.exists(), reason="nothing is recorded yet")
def test_the_table_is_generated() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rendered(page, json.loads(RECORD.read_text(encoding="utf-8"))) == page


def test_every_runtime_of_the_record_says_the_same() -> None:
    if not RECORD.exists():
        return
    for name, found in json.loads(RECORD.read_text(encoding="utf-8"))["networks"].items():
        assert {pair["logits_different"] for pair in found["equal"]} == {0}
        limit = 50_000 if name == "depth_96" else 65_536
        assert found["board"]["sram_bytes"] <= limit
        assert found["board"]["instructions"] <= 60_000_000


def _trained(folder: Path, initial: str, epochs: int) -> str:
    """A folder that says how it was trained, from weights of a digest."""
    folder.mkdir()
    (folder / WEIGHTS_FILE).write_bytes(folder.name.encode())
    record = {
        "command": f"train {folder.name}",
        "seed": 0,
        "versions": {},
        "machine": "a machine",
        "epochs": epochs,
        "seconds": 600.0,
        "images": {"train": 1000},
        "initial": initial,
    }
    (folder / TRAIN_FILE).write_text(json.dumps(record), encoding="utf-8")
    return str(folder)


def test_a_network_is_recorded_with_what_it_began_from(tmp_path: Path) -> None:
    first = _trained(tmp_path / "first", "", 2)
    second = _trained(tmp_path / "second", digest_of(first), 3)
    last = _trained(tmp_path / "last", digest_of(second), 4)
    assert "before" not in training_of(first)
    training = training_of(last, [first, second])
    assert [each["epochs"] for each in training["before"]] == [2, 3]
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    record["networks"] = {"n": {**next(iter(record["networks"].values())), "training": training}}
    assert "| 4 epochs of 1,000, the last of 3 trainings, 30 min in all |" in table(record)
    assert "train first\ntrain second\ntrain last\n" in commands_list(record)
    for wrong in ([second, first], [first]):
        with pytest.raises(FileError, match="did not begin from the weights of"):
            training_of(last, wrong)
    for short in ([], [second]):
        with pytest.raises(FileError, match=r"began from another training's weights: .*--before"):
            training_of(last, short)


def test_the_best_constant() -> None:
    targets = np.array([[[2.0, 2.0], [8.0, 2.0]]] * 8, np.float16)
    images = np.zeros((8, 2, 2, 1), np.uint8)
    split = Split("train", ArraySource(images, targets), np.arange(8))
    assert np.exp(constant(TASKS["depth"], split, (2, 2, 1))).ravel() == pytest.approx([2.0] * 4)
    labels = np.array([[[3, 3], [1, 3]]] * 8, np.uint8)
    split = Split("train", ArraySource(images, labels), np.arange(8))
    found = constant(TASKS["segmentation"], split, (2, 2, 7))
    assert found.argmax(axis=-1).tolist() == [[3, 3], [3, 3]]


def test_what_one_box_for_each_token_costs() -> None:
    targets = np.full((2, 3, 5), -1.0, np.float32)
    targets[0, 0] = (0.0, 0.0, 0.5, 0.5, 1)
    targets[0, 1] = (0.57, 0.52, 0.62, 0.58, 0)  # no token's middle is in it
    targets[1, 0] = (0.25, 0.25, 0.75, 0.75, 1)
    targets[1, 1] = (0.26, 0.26, 0.74, 0.74, 1)  # has all tokens of the one around it
    split = Split("test", ArraySource(np.zeros((2, 8, 8, 1), np.uint8), targets), np.arange(2))
    found = box_limits(TASKS["detection"], split, (8, 8, 6))
    assert found == BoxLimits(2, 4, 2, pytest.approx((2 / 3 + 0) / 2))


def test_each_data_set_has_its_constant_and_its_boxes() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    network = record["networks"]["detection_96"]
    boxes = {"pictures": 5, "things": 8, "without_token": 2, "best_ap50": 0.75}
    training = {**network["training"], "command": "train --dataset=scene_boxes --epochs=2"}
    other = {**network, "training": training, "boxes": boxes}
    of_canvases = {key: value for key, value in network.items() if key != "boxes"}
    record["networks"] = {"one": of_canvases, "two": other, "three": other}
    assert boxes_table(record).splitlines()[2:] == [
        "| `scene_boxes` | 5 | 8 | 2 (25.0 %) | 0.750 |"
    ]
    rows = [line.split(" | ")[0] for line in table(record).splitlines()]
    assert rows[-2:] == ["| constant, detection", "| constant, detection, scene_boxes"]


def test_texts_that_are_nearly_in_the_training_split() -> None:
    train = [b"the same text word for word", b"another one that is long enough"]
    test = [train[0], b"this same text word for word", b"something else altogether", b"short"]
    equal, near = near_texts(train, test)
    assert equal == 1
    assert near.tolist() == [True, True, False, False]
    found = counted(train, test, np.array([True, False, True, False]))
    assert (found.texts, found.equal, found.near, found.right_of_others) == (4, 1, 2, 1)
