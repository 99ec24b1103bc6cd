# SPDX-License-Identifier: Apache-2.0
"""Fractals are the attractors of their maps, the same each time; training begins with them."""

import json
import os

import numpy as np
import pytest

from keras_models import train
from keras_models.arch import ArchConfig
from keras_models.datasets import load_dataset
from keras_models.datasets.core import DatasetError
from keras_models.datasets.fractals import (
    CLASSES,
    LEAST_FILLED,
    MAPS,
    MOST_FILLED,
    VIEWS,
    attractors,
    draw_maps,
    fractals,
)
from keras_models.training import fit
from keras_models.training.checkpoint import CHECKPOINT_FILE

SIDE = 32


def sierpinski():
    """Three maps that halve, towards the corners of a triangle."""
    maps = np.zeros((1, MAPS[1], 2, 3))
    maps[..., 0, 0] = maps[..., 1, 1] = 0.5
    maps[0, :3, :, 2] = [(0, 0), (0.5, 0), (0.25, 0.5)]
    shares = np.zeros((1, MAPS[1]))
    shares[0, :3] = 1 / 3
    return maps, shares


def test_an_attractor_is_that_of_its_maps():
    (picture,) = attractors(np.random.default_rng(0), *sierpinski(), SIDE)
    # The triangle of half the size, upside down, in the middle is empty, as in each of its thirds.
    assert not picture[8:14, 14:18].any()
    assert not picture[4, 7:9].any()
    assert picture[0].astype(bool).mean() > 0.9  # the side that lies in the first row
    assert picture.max() == 255


@pytest.mark.parametrize("seed", range(3))
def test_maps_contract_and_their_shares_are_probabilities(seed):
    maps, shares = draw_maps(np.random.default_rng(seed), 50)
    assert np.linalg.norm(maps[..., :2], ord=2, axis=(-2, -1)).max() < 1
    np.testing.assert_allclose(shares.sum(1), 1)
    count = (shares > 0).sum(1)
    assert (count.min(), count.max()) >= (MAPS[0], MAPS[0] + 1)


def test_fractals_are_the_same_each_time_and_all_different():
    first = fractals(100, SIDE)
    fractals.cache_clear()
    again = fractals(100, SIDE)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    flat = np.concatenate(first).reshape(300, -1)
    assert len(np.unique(flat, axis=0)) == 300
    share = (first[0] > 0).mean((1, 2))
    assert share.min() >= LEAST_FILLED
    assert share.max() <= MOST_FILLED
    # Images of one class are nearer than those of others, by far most of them.
    train, test = (part.reshape(100, -1).astype(float) for part in (first[0], first[2]))
    distance = ((train[:, None] - test[None]) ** 2).sum(-1)
    assert (distance.argmin(0) == np.arange(100)).mean() > 0.5


def test_an_epoch_has_one_image_a_class_several_times():
    data = load_dataset("fractals", image_size=8, channels=3)
    assert (data.num_classes, len(data.train), len(data.test)) == (
        CLASSES,
        VIEWS * CLASSES,
        CLASSES,
    )
    keys = [set(split.image_keys()) for split in (data.train, data.validation, data.test)]
    assert [len(k) for k in keys] == [CLASSES] * 3
    assert len(set().union(*keys)) == 3 * CLASSES
    images, labels = data.train.load(np.array([5, 5 + CLASSES]))
    assert images.shape == (2, 8, 8, 3)
    assert np.array_equal(images[0], images[1])
    assert labels.tolist() == [5, 5]


def test_pictures_too_small_for_fractals_are_one_line():
    with pytest.raises(DatasetError, match="a network of 8 pixels or more"):
        fractals(CLASSES, 7)


PUPIL = ArchConfig.uniform(
    name="pupil",
    image_size=8,
    channels=1,
    patch_size=4,
    embed_dim=8,
    depth=1,
    heads=1,
    head_dim=8,
    mlp_ratio=1.0,
    num_classes=10,
)


def test_training_begins_with_fractals_and_goes_on_where_it_was(tmp_path, capsys):
    PUPIL.save(tmp_path / "pupil.json")
    out = tmp_path / "out"
    words = [
        f"--out={out}", f"--network={tmp_path}/pupil.json", "--dataset=digits", "--batch_size=512",
        "--jit=off", "--set=randaugment_ops=0", "--pretrain=1", "--epochs=1",
    ]  # fmt: skip
    train.main(words)
    before = json.loads((out / "pretrain" / "train.json").read_text())
    assert (before["dataset"], before["epochs"]) == ("fractals", 1)
    report = json.loads((out / "train.json").read_text())
    assert report["dataset"] == "digits"
    assert report["initial"] == fit.digest_of(str(out / "pretrain"))
    made = os.stat(out / "pretrain" / "train.json").st_mtime_ns
    capsys.readouterr()
    train.main([*words, "--resume"])
    assert "has ended already" in capsys.readouterr().out
    assert os.stat(out / "pretrain" / "train.json").st_mtime_ns == made
    # Of a training that is not at its end the weights it began with stay.
    (out / CHECKPOINT_FILE).write_bytes(b"")
    with pytest.raises(SystemExit):
        train.main([*words, "--resume", "--pretrain=2"])
    assert "from other weights than --pretrain=2 makes" in capsys.readouterr().err
    assert os.stat(out / "pretrain" / "train.json").st_mtime_ns == made


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--initial={t}"], "--pretrain and --initial: expected one of them"),
        (["--task=depth", "--dataset=scene_depth", "--data_dir={t}"], "scene_depth"),
    ],
)
def test_what_cannot_begin_so_is_one_line(words, message, tmp_path, capsys):
    PUPIL.save(tmp_path / "pupil.json")
    base = [f"--out={tmp_path}/o", f"--network={tmp_path}/pupil.json", "--pretrain=1"]
    with pytest.raises(SystemExit):
        train.main([*base, *(word.format(t=tmp_path) for word in words)])
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
