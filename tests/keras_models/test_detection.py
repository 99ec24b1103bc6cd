# SPDX-License-Identifier: Apache-2.0
"""Boxes of a detector, their figures by hand, and the canvases that it learns from."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_models.canvases.composition import GARMENTS, SIDE, canvases
from keras_models.canvases.idx import read_items
from keras_models.datasets import DatasetError, load_dataset
from keras_models.datasets.made import SPLITS, split_file
from keras_models.tasks import TASKS
from keras_models.tasks.average_precision import SaidBox, average_precision
from keras_models.tasks.box_rows import NOBODY, around, rows_of
from keras_models.tasks.boxes import MOST_BOXES, UNITS, boxes_of, fixed, logit, units
from keras_models.tasks.detection import owners
from tests.commands import run_here

DETECTION = TASKS["detection"]
GRID, CLASSES = 4, 3


def answer(*things: tuple[int, float, float], grid: int = GRID) -> np.ndarray:
    """Outputs of a picture: (token, distance, logit of class 1); nobody says anything else."""
    outputs = np.full((grid * grid, 4 + CLASSES), -9.0)
    outputs[:, :4] = 0.5
    for token, distance, score in things:
        outputs[token, :4], outputs[token, 5] = distance, score
    return outputs.reshape(grid, grid, -1)


def test_a_box_is_around_its_token_and_inside_the_picture() -> None:
    (box,) = boxes_of(answer((5, 0.75, 2.0)))
    assert (box.token, box.label, box.score) == (5, 1, 2.0)
    low, high = int(0.75 * UNITS), int(2.25 * UNITS)  # the middle is at 1.5
    assert box.edges == (low, low, high, high)
    (box,) = boxes_of(answer((0, 3.0, 2.0)))
    assert box.edges == (0, 0, 3.5 * UNITS, 3.5 * UNITS)


def test_of_boxes_that_overlap_the_better_is_kept() -> None:
    found = boxes_of(answer((5, 1.0, 2.0), (6, 1.0, 3.0), (9, 1.0, 3.0)))
    # 6 and 9 share a quarter of a box; 5 shares a half with each, a third of the union: all stay
    assert [box.token for box in found] == [6, 9, 5]
    found = boxes_of(answer((5, 1.5, 2.0), (6, 1.5, 3.0)))
    assert [box.token for box in found] == [6, 5]  # half of the union, and no more
    found = boxes_of(answer((5, 2.0, 2.0), (6, 2.0, 3.0)))
    assert [box.token for box in found] == [6]  # three quarters
    found = boxes_of(answer((5, 2.0, 3.0), (6, 2.0, 3.0)))
    assert [box.token for box in found] == [5]  # of equals the first
    assert boxes_of(answer((5, -1.0, 3.0))) == ()  # empty
    assert boxes_of(answer((5, 1.0, logit(0.04)))) == ()
    many = np.array([1.0] * 4 + [-9.0, 5.0, -9.0]) * np.ones((8, 8, 7))
    many[..., :4] = 0.4
    assert [box.token for box in boxes_of(many)] == list(range(MOST_BOXES))


@given(st.floats(1e-3, 2.0), st.integers(-128, 127))
def test_integers_give_the_units_of_the_real_numbers(scale: float, zero_point: int) -> None:
    try:
        boxes = fixed(scale, zero_point)
    except ValueError:
        return  # no multiplier does, and says so
    steps = np.arange(-128, 128) - zero_point
    got = (steps * boxes.multiplier + (1 << boxes.shift - 1)) >> boxes.shift
    np.testing.assert_array_equal(got, units(scale * steps))
    shown = scale * steps >= logit(0.3)
    np.testing.assert_array_equal(np.arange(-128, 128) >= boxes.least, shown)


def test_scales_of_trained_networks_have_a_multiplier() -> None:
    for scale in np.random.default_rng(0).uniform(0.02, 0.2, 200):
        fixed(float(np.float32(scale)), -20)
    with pytest.raises(ValueError, match="no multiplier rounds outputs of scale 10 as"):
        fixed(10.0, 0)


def test_average_precision_by_hand() -> None:
    one, two = np.array([0.0, 0, 0.4, 0.4]), np.array([0.5, 0.5, 0.9, 0.9])
    true = {0: np.stack([one, two]), 1: one[None]}
    right = [SaidBox(0, 3.0, one), SaidBox(0, 2.0, two), SaidBox(1, 1.0, one)]
    assert average_precision(right, true) == pytest.approx(1.0)
    # SaidBox twice: the second is wrong. 1, 1/2, 2/3 of 3: (1 + 2/3) / 3.
    twice = [SaidBox(0, 3.0, one), SaidBox(0, 2.5, one), SaidBox(0, 2.0, two)]
    assert average_precision(twice, true) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision([SaidBox(2, 3.0, one)], true) == 0.0
    assert average_precision([SaidBox(0, 1.0, one + 0.2)], true) == 0.0  # shares too little
    assert np.isnan(average_precision(right, {0: np.zeros((0, 4))}))


def boxes_at(*rows: tuple[float, ...]) -> np.ndarray:
    """Targets of one picture."""
    targets = np.zeros((1, 4, 5), np.float32)
    targets[..., 4] = NOBODY
    for place, row in enumerate(rows):
        targets[0, place] = row
    return targets


def test_what_is_wanted_is_what_scores_best() -> None:
    targets = boxes_at((0.0, 0.0, 0.5, 0.5, 2), (0.55, 0.5, 1.0, 0.9, 0))
    wanted = DETECTION.wanted(targets, (8, 8, 4 + CLASSES))
    assert wanted.dtype == np.float32
    tokens = np.argwhere(wanted[0, ..., 4:].any(axis=-1))
    assert {tuple(t) for t in tokens if t[0] < 4} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert wanted[0, 1, 2].tolist() == [2.5, 1.5, 1.5, 2.5, 0, 0, 1]
    said = np.where(wanted > 0, wanted, -6.0)
    said[..., 4:] *= 6
    scores = DETECTION.scores(said, targets)
    assert scores.figure == scores.ap50_any == pytest.approx(1.0)
    assert np.isnan(scores.classes[1])  # does not occur
    said[..., 4:] = said[..., [5, 6, 4]]
    assert DETECTION.scores(said, targets).ap50 == 0.0
    loss = DETECTION.loss(0.0)
    good = np.concatenate([wanted[..., :4], np.where(wanted[..., 4:] > 0, 9.0, -9.0)], axis=-1)
    good = good.astype(np.float32)
    bad = good + np.array([1.0] * 4 + [0.0] * CLASSES, np.float32)
    assert float(loss(wanted, good)) < 1e-3 < 0.1 < float(loss(wanted, bad))
    assert float(loss(wanted, -good)) > 2.0
    assert float(DETECTION.watched()(wanted, good)) == pytest.approx(1.0)
    assert float(DETECTION.watched()(wanted, bad)) < 0.7


def test_the_smaller_of_two_things_has_the_token() -> None:
    targets = boxes_at((0.3, 0.3, 0.7, 0.7, 1), (0.0, 0.0, 1.0, 1.0, 0))
    for order in ([0, 1, 2, 3], [1, 0, 2, 3]):
        wanted = DETECTION.wanted(targets[:, order], (8, 8, 4 + CLASSES))
        assert wanted[0, 3, 3, 4:].tolist() == [0, 1, 0]


def test_things_that_no_token_answers_for() -> None:
    # Of two equal boxes the first has all tokens; a thing between the middles of tokens has none.
    targets = boxes_at((0.3, 0.3, 0.7, 0.7, 1), (0.3, 0.3, 0.7, 0.7, 0), (0.0, 0.07, 1.0, 0.18, 2))
    owner = owners(targets, (8, 8, 4 + CLASSES))
    assert owner.shape == (1, 8, 8)
    assert {NOBODY, 0} == set(np.unique(owner))
    assert owner[0, 3, 3] == 0
    (thin,) = owners(targets[:, [2, 3]], (16, 16, 4 + CLASSES))
    assert set(np.argwhere(thin == 0)[:, 0]) == {1, 2}  # twice as many tokens have it


def test_boxes_around_pixels() -> None:
    mask = np.zeros((6, 8), bool)
    mask[1:3, 4:8], mask[5, 2] = True, True
    assert around(mask) == (2, 1, 8, 6)
    rows = rows_of([((2, 1, 8, 6), 3)], 8, 2)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[0.25, 0.125, 1.0, 0.75, 3], [0, 0, 0, 0, NOBODY]]


def test_targets_are_mirrored_as_pictures() -> None:
    targets = boxes_at((0.1, 0.2, 0.45, 0.6, 2))
    mirrored = DETECTION.mirrored(targets)
    assert mirrored[0, 0] == pytest.approx([0.55, 0.2, 0.9, 0.6, 2])
    np.testing.assert_array_equal(mirrored[0, 1:], targets[0, 1:])
    shape = (8, 8, 4 + CLASSES)
    straight = DETECTION.wanted(targets, shape)[:, :, ::-1][..., [2, 1, 0, 3, 4, 5, 6]]
    np.testing.assert_allclose(DETECTION.wanted(mirrored, shape), straight, atol=1e-6)


# ---- canvases ------------------------------------------------------------------------------------


def write_idx(folder: Path, split: str, count: int) -> None:
    """Items that are a bright square of 20 pixels, in classes 0, 1, ..."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 4:24, 4:24] = 255
    labels = (np.arange(count) % 10).astype(np.uint8)
    for what, array in (("images-idx3", images), ("labels-idx1", labels)):
        head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
        with gzip.open(folder / f"{split}-{what}-ubyte.gz", "wb") as file:
            file.write(head + array.tobytes())


def test_boxes_are_around_the_items() -> None:
    images = np.zeros((1, 28, 28), np.uint8)
    images[0, 4:24, 4:24] = 255
    for picture, boxes in canvases((images, np.array([3], np.uint8)), 8, (1,)):
        assert picture.shape == (SIDE, SIDE, 3)
        used = boxes[boxes[:, 4] != NOBODY]
        assert 1 <= len(used) <= 4
        assert set(used[:, 4]) == {3.0}
        sides = (used[:, 2:4] - used[:, :2]) * SIDE
        assert ((sides > 20 * 20 / 28 - 3) & (sides < 48 * 20 / 28 + 3)).all()
    first = next(canvases((images, np.array([3], np.uint8)), 8, (1,)))
    np.testing.assert_array_equal(first[0], next(canvases((images, np.array([3])), 1, (1,)))[0])


def test_the_command_and_what_it_refuses(tmp_path: Path) -> None:
    words = ("keras_models.compose_canvases", f"--out={tmp_path}/out", f"--items={tmp_path}",
             "--train=3", "--validation=2", "--test=2")  # fmt: skip
    refused = run_here(*words)
    assert refused.returncode == 1
    missing = f"{tmp_path}/train-images-idx3-ubyte.gz: no such file; install Debian's dataset-fash"
    assert refused.stderr.startswith(f"compose_canvases: {missing}")
    assert not (tmp_path / "out").exists()
    for split in ("train", "t10k"):
        write_idx(tmp_path, split, 20)
    done = run_here(*words)
    assert done.returncode == 0, done.stderr
    data = load_dataset("canvases", str(tmp_path / "out"), image_size=96, channels=3)
    assert data.class_names == ("left", "top", "right", "bottom", *GARMENTS)
    assert [len(data.split(name)) for name in SPLITS] == [3, 2, 2]
    path = split_file(str(tmp_path / "out"), "train")
    color = np.zeros((1, 96, 96, 3), np.uint8)
    for row, message in (((0.5, 0, 0.4, 1, 2), "left of right"), ((0, 0, 1, 1, 10), "class -1 to")):
        np.savez(path, color=color, boxes=boxes_at(row))
        with pytest.raises(DatasetError, match=rf"train\.npz: .*boxes: .*{message}"):
            load_dataset("canvases", str(tmp_path / "out"), image_size=96, channels=3)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x01"))
    with pytest.raises(DatasetError, match="got magic number 00000801, expected 00000803"):
        read_items(str(tmp_path), "train")


def test_no_items_are_refused(tmp_path: Path) -> None:
    for name, shape in (("images-idx3", (0, 28, 28)), ("labels-idx1", (0,))):
        head = bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes()
        (tmp_path / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(head))
    with pytest.raises(DatasetError, match="got 0 pictures and 0 classes of the train split"):
        read_items(str(tmp_path), "train")
