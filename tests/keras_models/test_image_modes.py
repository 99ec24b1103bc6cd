# SPDX-License-Identifier: Apache-2.0
"""Files of every image mode are read as the pixels that they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from firmware.images import find_images
from keras_models.datasets.core import DatasetError
from keras_models.datasets.images import eight_bits, fit_image, read_image

SIDE = 6
ANY = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def sides(largest: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(1, largest), st.integers(1, largest))


def bytes_of(*channels: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.uint8, (SIDE, SIDE, *channels))


def grey_of(path: Path) -> np.ndarray:
    """As a network of one channel and a board of one see it: the same."""
    found = read_image(str(path), SIDE, 1)
    (image,) = find_images([str(path)], (SIDE, SIDE, 1))
    assert np.array_equal(image.pixels(), found)
    return found[..., 0]


def color_of(path: Path) -> np.ndarray:
    found = read_image(str(path), SIDE, 3)
    (image,) = find_images([str(path)], (SIDE, SIDE, 3))
    assert np.array_equal(image.pixels(), found)
    return found


@given(arrays(np.uint16, (SIDE, SIDE)))
@ANY
def test_sixteen_bits_of_grey(tmp_path: Path, wide: np.ndarray) -> None:
    path = tmp_path / "wide.png"
    Image.fromarray(wide).save(path)
    expected = np.floor(wide / 65535 * 255 + 0.5)
    assert np.array_equal(grey_of(path), expected)
    assert np.array_equal(color_of(path), np.repeat(expected[..., None], 3, axis=-1))


def test_a_grey_photograph_of_sixteen_bits_is_not_white(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((SIDE, SIDE), 106 * 257, np.uint16)).save(path)
    assert set(grey_of(path).flat) == {106}


@given(bytes_of())
@ANY
def test_palette(tmp_path: Path, index: np.ndarray) -> None:
    palette = np.random.default_rng(1).integers(0, 256, (256, 3), np.uint8)
    image = Image.fromarray(index, "P")
    image.putpalette(palette.tobytes())
    path = tmp_path / "palette.png"
    image.save(path, transparency=3)
    assert np.array_equal(color_of(path), palette[index])


@given(bytes_of(4))
@ANY
def test_transparency_is_left_out(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "rgba.png"
    Image.fromarray(pixels, "RGBA").save(path)
    assert np.array_equal(color_of(path), pixels[..., :3])
    Image.fromarray(np.ascontiguousarray(pixels[..., :2]), "LA").save(path)
    assert np.array_equal(grey_of(path), pixels[..., 0])
    assert np.array_equal(color_of(path), np.repeat(pixels[..., :1], 3, axis=-1))


@given(arrays(np.bool_, (SIDE, SIDE)))
@ANY
def test_one_bit(tmp_path: Path, bits: np.ndarray) -> None:
    path = tmp_path / "bits.png"
    Image.fromarray(bits).save(path)
    assert np.array_equal(grey_of(path), bits * 255)


@given(bytes_of(4))
@ANY
def test_cmyk(pixels: np.ndarray) -> None:
    """White without ink, black with black ink, red without cyan."""
    found = np.asarray(eight_bits(Image.fromarray(pixels, "CMYK"), 3)).astype(float)
    ink = pixels.astype(float) / 255
    expected = 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
    assert np.abs(found - expected).max() <= 1.0


def test_cmyk_file(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.jpg"
    Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)).save(path, quality=95)
    assert np.abs(color_of(path).astype(int) - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.new("F", (SIDE, SIDE), 0.5), "got mode F, pixels of real numbers"),
        (Image.new("I", (SIDE, SIDE), 70000), "pixels 70000 to 70000, expected 0 to 65535"),
        (Image.new("I", (SIDE, SIDE), -1), "pixels -1 to -1, expected 0 to 65535"),
    ],
)
def test_pixels_without_a_white_are_refused(image: Image.Image, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        eight_bits(image, 1)


@given(sides(40), sides(20))
@settings(max_examples=60, deadline=None)
def test_any_size_fits(given_size: tuple[int, int], size: tuple[int, int]) -> None:
    """No border is made up: a plain image stays plain, whatever is cut away."""
    found = fit_image(Image.new("L", given_size, 77), size, 1)
    assert found.shape == (*size, 1)
    assert set(found.flat) == {77}
