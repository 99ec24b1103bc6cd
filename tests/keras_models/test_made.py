# SPDX-License-Identifier: Apache-2.0
"""Data sets that commands make: their files are of one making, whatever ends a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keras_models import pose_questions
from keras_models.datasets import made
from keras_models.datasets.made import SPLITS, make_splits, making, split_file
from tests.commands import run_here

COUNTS = dict.fromkeys(SPLITS, 3)


def numbers(value: int) -> Iterator[tuple[np.uint8]]:
    return iter([(np.uint8(value),)] * 3)


def values(folder: Path) -> dict[str, int]:
    """What each split holds; nothing of splits that are not there."""
    found = {}
    for split in SPLITS:
        if os.path.exists(path := split_file(str(folder), split)):
            with np.load(path) as file:
                found[split] = int(file["x"][0])
    return found


def make(folder: Path, value: int) -> None:
    make_splits(str(folder), ("x",), COUNTS, lambda split, number: numbers(value))


def test_a_making_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    make(tmp_path / "data", 1)

    def broken(split: str, number: int) -> Iterator[tuple[np.uint8]]:
        if split == "test":
            raise KeyboardInterrupt
        return numbers(2)

    with pytest.raises(KeyboardInterrupt):
        make_splits(str(tmp_path / "data"), ("x",), COUNTS, broken)
    with pytest.raises(KeyboardInterrupt):
        make_splits(str(tmp_path / "new"), ("x",), COUNTS, broken)
    assert values(tmp_path / "data") == dict.fromkeys(SPLITS, 1)
    assert sorted(os.listdir(tmp_path / "data")) == sorted(f"{split}.npz" for split in SPLITS)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("moves", range(3))
def test_no_training_split_stands_beside_files_of_another_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """The test split of another seed may have the training's examples."""
    make(tmp_path, 1)
    left = [moves]

    def replaced(source: str, target: str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        os.rename(source, target)

    class System:
        def __getattr__(self, name: str) -> object:
            return replaced if name == "replace" else getattr(os, name)

    monkeypatch.setattr(made, "os", System())
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, 2)
    assert "train" not in values(tmp_path)
    left[0] = 3
    make(tmp_path, 3)
    assert values(tmp_path) == dict.fromkeys(SPLITS, 3)


def test_a_test_split_alone_leaves_the_others(tmp_path: Path) -> None:
    make(tmp_path, 1)
    with making(str(tmp_path)) as work:
        made.write_split(work, "test", ("x",), numbers(2), 3)
    assert values(tmp_path) == {"train": 1, "validation": 1, "test": 2}


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    module = pose_questions.__name__
    for place in (tmp_path / "file", tmp_path / "file" / "in"):
        done = run_here(module, f"--out={place}", "--train=1", "--validation=1", "--test=1")
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"pose_questions: {tmp_path / 'file'}: got a file, expected a folder"
        ]
    assert (tmp_path / "file").read_bytes() == b"mine"
