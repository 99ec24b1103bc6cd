# SPDX-License-Identifier: Apache-2.0
"""The tables of scenes are what their record gives; guesses without the picture, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import scenes as benchmark
from benchmarks.scene_tables import photograph_table, scenes_table
from benchmarks.scenes import PAGE, RECORD, rendered
from benchmarks.task_forms import by_place
from keras_models.datasets import Split
from keras_models.datasets.core import ArraySource
from keras_models.load import TRAIN_FILE, WEIGHTS_FILE
from keras_models.tasks import TASKS
from keras_models.training.fit import digest_of
from tflm_vit.files import FileError


def _record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def test_the_tables_are_generated() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rendered(page, _record()) == page


def test_tflm_says_the_same() -> None:
    for found in _record()["networks"].values():
        for scores in found["scenes"].values():
            assert [pair["logits_different"] for pair in scores["equal"]] == [0]


def test_all_were_scored_on_the_same_pictures() -> None:
    record = _record()
    for found in record["networks"].values():
        for kind, scores in found["scenes"].items():
            guesses = record["without picture"][found["task"]][kind]
            all_scores = (scores["float"], scores["fused int8"], *guesses.values())
            assert len({each["images"] for each in all_scores}) == 1


def test_what_a_network_began_from_is_asked_for_and_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, further = tmp_path / "first", tmp_path / "further"
    for folder in (first, further):
        folder.mkdir()
        (folder / WEIGHTS_FILE).write_bytes(folder.name.encode())
        record = dict.fromkeys(("command", "versions", "machine"), "") | {
            "seed": 0, "epochs": 1, "seconds": 1.0, "images": {"train": 1},
            "initial": digest_of(str(first)) if folder == further else "",
        }  # fmt: skip
        (folder / TRAIN_FILE).write_text(json.dumps(record), encoding="utf-8")

    def reached(folder: str) -> Any:
        raise FileError(f"reached {folder}")

    monkeypatch.setattr(benchmark, "_network", reached)
    words = [f"--trained={further}", f"--json={tmp_path}/record.json"]
    for more, said in (([], "name its folder, and those before it, with --before"),
                       ([f"--before={first}"], f"reached {further}")):  # fmt: skip
        with pytest.raises(SystemExit):
            benchmark.main([*words, *more])
        assert said in capsys.readouterr().err


def test_rows() -> None:
    depth = {"abs_rel": 0.25, "delta": 0.5}
    scenes = {kind: {"float": depth, "fused int8": depth} for kind in ("plain", "textured")}
    ways = dict.fromkeys(("raw", "through_lens", "aligned"), depth)
    record = {
        "networks": {
            "a": {
                "task": "depth",
                "trained_on": "plain",
                "training": {"epochs": 8, "images": {"train": 5000}},
                "scenes": scenes,
                "photograph": {**ways, "factor": 1.5, "rank": 0.25},
            }
        },
        "without picture": {
            "depth": {kind: {"constant": depth, "place": depth} for kind in scenes}
        },
        "photograph": {"guesses": {"constant, plain": {**ways, "factor": 2.0, "rank": None}}},
    }
    head, rule, row, guess, _ = scenes_table(record).splitlines()
    assert row.startswith("| `a` | plain, 8 epochs of 5,000 | AbsRel, < 1.25 | 0.250, 0.500 |")
    assert guess == "| constant, depth | | AbsRel, < 1.25 | 0.250, 0.500 | | 0.250, 0.500 | |"
    assert {line.count("|") for line in (head, rule, row, guess)} == {8}
    *_, network, constant = photograph_table(record).splitlines()
    assert network.endswith("| 1.50 | 0.250 |")
    assert constant.endswith("| 2.00 | - |")


def test_the_best_guess_of_a_place() -> None:
    targets = np.full((12, 2, 2), 4.0, np.float16)  # of which every fourth is looked at
    targets[:, 0, 0] = np.repeat([1.0, 2.0, 8.0], 4)
    images = np.zeros((12, 2, 2, 1), np.uint8)
    split = Split("train", ArraySource(images, targets), np.arange(12))
    found = np.exp(by_place(TASKS["depth"], split, (2, 2, 1))).ravel()
    # |1 - d| / 1 + |2 - d| / 2 + |8 - d| / 8 is least at 1, not at the median.
    assert found == pytest.approx([1.0, 4.0, 4.0, 4.0])
    labels = np.array([[[3, 3], [1, 0]]] * 12, np.uint8)
    split = Split("train", ArraySource(images, labels), np.arange(12))
    place = by_place(TASKS["segmentation"], split, (2, 2, 7)).argmax(axis=-1)
    assert place.tolist() == [[3, 3], [1, 0]]
