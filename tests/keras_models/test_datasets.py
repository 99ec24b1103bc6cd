# SPDX-License-Identifier: Apache-2.0
"""Data sets: disjoint and stable splits, scaling, errors that name the file."""

import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from keras_models.datasets import DatasetError, load_dataset, load_images, load_pixels, normalize
from keras_models.datasets.core import partition
from keras_models.datasets.folder import load_folder


def write_images(folder, count, size=(8, 8), start=0):
    folder.mkdir(parents=True)
    for i in range(start, start + count):
        pixels = np.full((size[1], size[0], 3), i, np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04}.png")


def assert_disjoint_and_complete(data, total):
    keys = [set(split.image_keys()) for split in (data.train, data.validation, data.test)]
    assert sum(len(k) for k in keys) == len(data.train) + len(data.validation) + len(data.test)
    assert len(set.union(*keys)) == sum(len(k) for k in keys) == total
    assert all(keys)


def test_normalize_covers_minus_one_to_one():
    pixels = np.arange(256, dtype=np.uint8)
    scaled = normalize(pixels)
    assert scaled.dtype == np.float32
    assert (scaled[0], scaled[255]) == (-1.0, 1.0)
    np.testing.assert_allclose(np.diff(scaled), 2 / 255, rtol=1e-4)


def test_digits_are_scikit_learns_and_splits_never_mix():
    from sklearn.datasets import load_digits

    data = load_dataset("digits", image_size=8, channels=1)
    assert_disjoint_and_complete(data, 1797)
    bunch = load_digits()
    images, labels = data.test.arrays()
    where = data.test.indices
    np.testing.assert_array_equal(labels, bunch.target[where])
    np.testing.assert_allclose(images[..., 0], bunch.images[where] / 8 - 1, atol=1 / 127)
    # Every class is in every split, in proportion.
    for split, share in ((data.train, 0.7), (data.validation, 0.1), (data.test, 0.2)):
        counts = np.bincount(split.labels(), minlength=10) / np.bincount(bunch.target)
        np.testing.assert_allclose(counts, share, atol=0.01)


def test_no_image_of_the_digits_is_in_two_splits_by_content():
    data = load_dataset("digits", image_size=8, channels=1)
    seen = {image.tobytes() for image in data.train.load(slice(None))[0]}
    assert not any(image.tobytes() in seen for image in data.test.load(slice(None))[0])


def test_digits_at_another_size():
    data = load_dataset("digits", image_size=16, channels=3)
    images, _ = data.train.load(slice(0, 2))
    assert images.shape == (2, 16, 16, 3)
    assert (images[..., 0] == images[..., 1]).all()


def test_partition_is_stable_and_disjoint():
    labels = np.repeat(np.arange(5), 40).astype(np.int32)
    parts = partition(labels, 200, (0.2, 0.1))
    assert [len(p) for p in parts] == [40, 20, 140]
    assert len(np.unique(np.concatenate(parts))) == 200
    for first, second in zip(parts, partition(labels, 200, (0.2, 0.1)), strict=True):
        np.testing.assert_array_equal(first, second)


def test_draw_gives_as_many_as_asked_for_or_refuses():
    split = load_dataset("digits", image_size=8, channels=1).validation
    everything = split.draw(len(split), 1)
    assert sorted(everything.indices) == sorted(split.indices)
    assert list(split.draw(5, 1).indices) == list(split.take(5, 1).indices)
    for count in (0, len(split) + 1):
        with pytest.raises(DatasetError) as found:
            split.draw(count, 1)
        assert str(found.value) == (
            f"validation split: {count} images asked for, expected 1 to {len(split)}"
        )
    assert sorted(split.draw(len(split) + 1, 1, fewer=True).indices) == sorted(split.indices)


def test_an_image_whose_size_is_absurd_is_unreadable(tmp_path, monkeypatch):
    """A damaged header: the decoder's error is of a class of its own."""
    write_images(tmp_path / "images", 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DatasetError, match=r"0000\.png: not an image: Image size"):
        load_images(str(tmp_path / "images"), 1, 8)


def test_batches_cover_each_image_once():
    data = load_dataset("digits", image_size=8, channels=1)
    seen = np.concatenate([labels for _, labels in data.test.batches(100, shuffle_seed=1)])
    assert len(seen) == len(data.test)
    assert not np.array_equal(seen, data.test.labels())
    np.testing.assert_array_equal(np.sort(seen), np.sort(data.test.labels()))
    assert len(data.test.take(7)) == 7
    assert len(set(data.test.take(50, seed=3).image_keys())) == 50


def test_folder_without_splits_is_split(tmp_path):
    for label, name in enumerate(("cat", "dog")):
        write_images(tmp_path / name, 20, start=20 * label)
    data = load_folder(str(tmp_path), 8)
    assert data.class_names == ("cat", "dog")
    assert_disjoint_and_complete(data, 40)
    assert (len(data.test), len(data.validation)) == (8, 4)
    images, labels = data.train.load(slice(None))
    # The pixel value tells which file it was, the label must go with it.
    np.testing.assert_array_equal(labels, images[:, 0, 0, 0] // 20)


def test_folder_with_train_and_test_keeps_test_whole(tmp_path):
    for name in ("cat", "dog"):
        write_images(tmp_path / "train" / name, 20)
        write_images(tmp_path / "test" / name, 5)
    data = load_folder(str(tmp_path), 8)
    assert_disjoint_and_complete(data, 50)
    assert len(data.test) == 10
    assert all("/test/" in key for key in data.test.image_keys())
    kept = (*data.train.image_keys(), *data.validation.image_keys())
    assert all("/train/" in key for key in kept)


def test_val_without_test_is_the_test_split(tmp_path):
    for name in ("cat", "dog"):
        write_images(tmp_path / "train" / name, 20)
        write_images(tmp_path / "val" / name, 5)
    data = load_folder(str(tmp_path), 8)
    assert_disjoint_and_complete(data, 50)
    assert all("/val/" in key for key in data.test.image_keys())


def test_images_are_scaled_by_the_shorter_side_and_cropped(tmp_path):
    picture = np.zeros((60, 120, 3), np.uint8)
    picture[:, 40:80] = 255  # the middle third is white
    (tmp_path / "a").mkdir()
    Image.fromarray(picture).save(tmp_path / "a" / "wide.png")
    out = load_images(str(tmp_path), 1, 30)
    assert out.shape == (1, 30, 30, 3)
    assert out[0, 15, 15].min() > 0.9
    assert out[0, 15, 0].max() < -0.9  # 30 pixels hold the middle 56 of 120: black at the edge


def test_load_images_draws_without_repetition(tmp_path):
    write_images(tmp_path / "x", 12)
    drawn = load_images(str(tmp_path), 12, 8, seed=4)[:, 0, 0, 0]
    assert len(np.unique(drawn)) == 12
    np.testing.assert_array_equal(drawn, load_images(str(tmp_path), 12, 8, seed=4)[:, 0, 0, 0])
    with pytest.raises(DatasetError, match="13 images asked for, expected 1 to 12"):
        load_images(str(tmp_path), 13, 8)
    assert len(load_pixels(str(tmp_path), 13, 8, fewer=True)) == 12
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no image files"):
        load_pixels(str(tmp_path / "empty"), 13, 8, fewer=True)


def test_errors_name_the_path(tmp_path):
    with pytest.raises(DatasetError, match=r"gone: no such folder"):
        load_folder(str(tmp_path / "gone"), 8)
    with pytest.raises(DatasetError, match="needs --data_dir"):
        load_dataset("image_folder", image_size=8, channels=3)
    write_images(tmp_path / "cat", 20)
    with pytest.raises(DatasetError, match="1 class folders, expected at least 2"):
        load_folder(str(tmp_path), 8)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DatasetError, match=r"dog: no image files"):
        load_folder(str(tmp_path), 8)
    bad = tmp_path / "dog" / "0001.jpg"
    bad.write_bytes(b"not a jpeg")
    write_images(tmp_path / "dog" / "more", 1)
    for i in range(19):
        (tmp_path / "dog" / f"1{i}.png").write_bytes((tmp_path / "cat" / "0001.png").read_bytes())
    data = load_folder(str(tmp_path), 8)
    splits = (data.train, data.validation, data.test)
    (holder,) = [split for split in splits if str(bad) in split.image_keys()]
    with pytest.raises(DatasetError, match=r"dog/0001\.jpg: not an image"):
        holder.preload()
    with pytest.raises(DatasetError, match="'mnist' does not exist, expected one of digits"):
        load_dataset("mnist", image_size=8, channels=1)


def test_test_folder_with_an_unknown_class_is_refused(tmp_path):
    for name in ("cat", "dog"):
        write_images(tmp_path / "train" / name, 20)
        write_images(tmp_path / "test" / name, 5)
    write_images(tmp_path / "test" / "cow", 5)
    with pytest.raises(DatasetError, match=r"test/cow: a class that .*train does not have"):
        load_folder(str(tmp_path), 8)


class FakeBuilder:
    """The part of a tensorflow-datasets builder that is used."""

    info = types.SimpleNamespace(
        features={"label": types.SimpleNamespace(names=["plane", "car"])},
    )

    def __init__(self, failure=None):
        self.failure = failure

    def download_and_prepare(self):
        if self.failure:
            raise self.failure

    def as_data_source(self, split):
        base = {"train": 0, "test": 100}[split]
        return [
            {"image": np.full((32, 32, 3), base + i, np.uint8), "label": i % 2} for i in range(40)
        ]


def test_catalogue_data_sets(monkeypatch):
    fake = types.ModuleType("tensorflow_datasets")
    fake.builder = lambda name, **kwargs: FakeBuilder()
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    data = load_dataset("cifar10", image_size=32, channels=3)
    assert data.class_names == ("plane", "car")
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 40)
    assert_disjoint_and_complete(data, 80)
    images, labels = data.test.load(slice(None))
    np.testing.assert_array_equal(labels, (images[:, 0, 0, 0] - 100) % 2)
    np.testing.assert_array_equal(data.test.labels(), labels)
    fake.builder = lambda name, **kwargs: FakeBuilder(OSError("no route to host"))
    with pytest.raises(DatasetError, match=r"--dataset=cifar10: .*no route to host"):
        load_dataset("cifar10", image_size=32, channels=3)


def test_data_and_architectures_import_neither_keras_nor_tensorflow():
    code = (
        "import sys, keras_models.datasets, keras_models.presets, keras_models.training.recipe\n"
        "keras_models.datasets.load_dataset('digits', image_size=8, channels=1).test.arrays()\n"
        "print(sorted({'keras', 'tensorflow', 'tf_keras', 'jax'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_a_folder_for_a_data_set_without_one_is_refused(tmp_path):
    """It was passed over: a training on somebody's photographs was one on digits."""
    for name in ("digits", "fractals"):
        with pytest.raises(DatasetError, match=f"--dataset={name} is in no folder, got --data_dir"):
            load_dataset(name, str(tmp_path), image_size=8, channels=1)
