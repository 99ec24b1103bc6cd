# SPDX-License-Identifier: Apache-2.0
"""True depth of a stereo pair, what a network sees of it, and the figures, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photograph import (
    CALIBRATION,
    COLOR,
    DISPARITY,
    Photograph,
    PhotographError,
    focal_length,
    photograph,
    photograph_scores,
)

_CAMERAS = "cam0=[100 0 {middle}; 0 100 20; 0 0 1]\ncam1=[100 0 60; 0 100 20; 0 0 1]\n"


def _folder(
    path: Path, disparity: NDArray[np.float32], calibration: str, order: str = "<f4"
) -> str:
    """A photograph as people have it: the column's number is the red of each pixel."""
    path.mkdir(exist_ok=True)
    color = np.zeros((*disparity.shape, 3), np.uint8)
    color[..., 0] = np.arange(disparity.shape[1])
    Image.fromarray(color).save(path / COLOR)
    height, width = disparity.shape
    head = f"Pf\n{width} {height}\n{-1.0 if order == '<f4' else 1.0}\n".encode()
    (path / DISPARITY).write_bytes(head + disparity[::-1].astype(order).tobytes())
    (path / CALIBRATION).write_text(calibration, encoding="utf-8")
    return str(path)


def _calibration(middle: float = 45.0) -> str:
    return _CAMERAS.format(middle=middle) + "doffs=10.0\nbaseline=200.0\nwidth=80\n"


@pytest.mark.parametrize("order", ["<f4", ">f4"])
def test_depth_of_a_folder(tmp_path: Path, order: str) -> None:
    disparity = np.full((40, 80), 10.0, np.float32)
    disparity[:20], disparity[0, 0], disparity[1, 1] = 30.0, np.inf, np.nan
    found = photograph(_folder(tmp_path / "chairs", disparity, _calibration(), order))
    assert found.name == "chairs"
    depth = found.depth
    assert depth[0, 2] == pytest.approx(100 * 0.2 / 40)  # the upper half is nearer
    assert depth[39, 0] == pytest.approx(100 * 0.2 / 20)
    assert np.argwhere(np.isnan(depth)).tolist() == [[0, 0], [1, 1]]


def test_what_a_network_sees(tmp_path: Path) -> None:
    disparity = np.full((40, 80), 10.0, np.float32)
    disparity[:, 45:] = 30.0
    view = photograph(_folder(tmp_path, disparity, _calibration())).square(10)
    assert view.color.shape == (10, 10, 3)
    assert view.color[0, :, 0].tolist() == pytest.approx(np.arange(26.5, 66, 4), abs=1)
    assert view.depth[3].tolist() == pytest.approx([1.0] * 5 + [0.5] * 5)
    assert view.focal_px == pytest.approx(25.0)
    at_the_edge = photograph(_folder(tmp_path, disparity, _calibration(75.0))).square(10)
    assert at_the_edge.color[0, -1, 0] >= 76


def test_focal_length() -> None:
    assert focal_length(96, 90.0) == pytest.approx(48.0)
    assert focal_length(96, 55.0) == pytest.approx(92.207, abs=1e-3)


def test_figures_by_hand() -> None:
    true = np.array([[1.0, 2.0], [4.0, np.nan]])
    exact = photograph_scores(true / 2, true, 2.0)
    assert (exact.raw.abs_rel, exact.raw.delta) == (0.5, 0.0)
    assert (exact.through_lens.abs_rel, exact.through_lens.delta) == (0.0, 1.0)
    assert (exact.factor, exact.aligned.abs_rel, exact.rank) == (2.0, 0.0, 1.0)
    wrong = photograph_scores(np.array([[4.0, 2.0], [1.0, 9.0]]), true, 1.0)
    assert wrong.rank == -1.0
    assert wrong.raw.abs_rel == pytest.approx((3.0 + 0.0 + 0.75) / 3)
    assert wrong.raw.delta == pytest.approx(1 / 3)
    constant = photograph_scores(np.full((2, 2), 3.0), true, 1.0)
    assert constant.rank is None
    assert constant.factor == pytest.approx(2 / 3)


def test_what_is_no_photograph(tmp_path: Path) -> None:
    disparity = np.full((40, 80), 10.0, np.float32)
    with pytest.raises(PhotographError, match=r"no such folder; give the name motorcycle \(pip"):
        photograph(str(tmp_path / "missing"))
    folder = _folder(tmp_path / "a", disparity, _CAMERAS.format(middle=45) + "baseline=200\n")
    with pytest.raises(PhotographError, match=r"calib\.txt: expected a line doffs=NUMBER"):
        photograph(folder)
    folder = _folder(tmp_path / "b", disparity, _calibration())
    _folder(tmp_path / "c", disparity[:, :60], _calibration())
    (tmp_path / "c" / DISPARITY).rename(tmp_path / "b" / DISPARITY)
    with pytest.raises(PhotographError, match=r"got \[40, 60\] pixels, expected .* \[40, 80\]"):
        photograph(folder)
    (tmp_path / "b" / DISPARITY).write_bytes(b"PF\n80 40\n-1.0\n")
    with pytest.raises(PhotographError, match="expected a portable float map of one channel"):
        photograph(folder)
    (tmp_path / "b" / DISPARITY).write_bytes(b"Pf\n80 40\n-1.0\nshort")
    with pytest.raises(PhotographError, match=r"disp0\.pfm: not disparities"):
        photograph(folder)


def test_the_package_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(PhotographError, match="pip install scikit-image"):
        photograph("motorcycle")


def test_the_packages_photograph() -> None:
    pytest.importorskip("skimage")
    found: Photograph = photograph("motorcycle")
    known = found.depth[np.isfinite(found.depth)]
    assert found.color.shape == (500, 741, 3)
    assert 1.5 < known.min() < known.max() < 8.0
    assert found.square(96).focal_px == pytest.approx(191.036, abs=0.01)
