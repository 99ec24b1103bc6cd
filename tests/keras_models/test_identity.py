# SPDX-License-Identifier: Apache-2.0
"""Data sets are known by their classes and images, wherever they lie."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_models.datasets import DatasetError, load_dataset
from keras_models.datasets.identity import (
    RECORD,
    Identity,
    expect_same_classes,
    expect_same_data,
    identity_of,
    recorded_in,
)
from keras_models.trained_data import recorded_identity

DIGITS = load_dataset("digits", image_size=8, channels=1)


def folder(where: Path, classes: str, images: int = 12, side: int = 8) -> Path:
    rng = np.random.default_rng(0)
    for name in classes:
        (where / name).mkdir(parents=True)
        for number in range(images):
            pixels = rng.integers(0, 256, (side, side), np.uint8)
            Image.fromarray(pixels).save(where / name / f"{number}.png")
    return where


def of_folder(where: Path, size: int = 8) -> Identity:
    return identity_of(load_dataset("image_folder", str(where), image_size=size, channels=1))


def test_the_same_images_at_another_size_and_place(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", "xyz")
    b = tmp_path / "elsewhere"
    shutil.copytree(a, b)
    assert of_folder(a) == of_folder(a, size=16) == of_folder(b)
    assert identity_of(DIGITS) == identity_of(load_dataset("digits", image_size=32, channels=3))


def test_whatever_differs_shows(tmp_path: Path) -> None:
    first = of_folder(folder(tmp_path / "a", "xyz"))
    renamed = of_folder(folder(tmp_path / "b", "xyw"))
    fewer = of_folder(folder(tmp_path / "c", "xyz", images=11))
    other = of_folder(folder(tmp_path / "d", "xyz", side=9))
    assert first.class_names != renamed.class_names
    assert first.images == 36
    assert fewer.images == 33
    assert len({first.digest, renamed.digest, fewer.digest, other.digest}) == 4


def test_it_survives_a_record() -> None:
    identity = identity_of(DIGITS)
    tree = json.loads(json.dumps({RECORD: dataclasses.asdict(identity)}))
    assert recorded_in(tree) == identity
    for damaged in ({}, [], {RECORD: 3}, {RECORD: {"name": "x"}}, {RECORD: {**tree[RECORD],
                    "class_names": [1]}}):  # fmt: skip
        assert recorded_in(damaged) is None
    shipped = recorded_identity("hybrid_32")
    assert shipped is not None
    assert (shipped.images, len(shipped.class_names)) == (60_000, 10)
    assert recorded_identity("vit_t_240") is None  # not trained


def test_ten_other_classes_are_refused(tmp_path: Path) -> None:
    photographs = load_dataset(
        "image_folder", str(folder(tmp_path, "abcdefghij")), image_size=8, channels=1
    )
    with pytest.raises(DatasetError, match=r"net: trained on .*class 0 is '0' there and 'a' here.*"
                       r"--allow_other_data"):  # fmt: skip
        expect_same_classes("net", DIGITS.class_names, photographs)
    expect_same_classes("net", DIGITS.class_names, photographs, allowed=True)
    expect_same_classes("net", (), photographs)
    expect_same_classes("net", DIGITS.class_names, DIGITS)
    a, b = identity_of(DIGITS), identity_of(photographs)
    with pytest.raises(DatasetError, match=r"trained on digits \(10 classes '0', '1', '2'.*got "
                       r"image_folder.*class 0 is '0' there and 'a' here"):  # fmt: skip
        expect_same_data("net", a, b, allowed=False)
    expect_same_data("net", a, b, allowed=True)
    expect_same_data("net", None, b, allowed=False)
