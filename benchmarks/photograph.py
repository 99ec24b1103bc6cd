# SPDX-License-Identifier: Apache-2.0
"""A photograph whose true depth is known, from a stereo pair's disparity and calibration.

    depth = focal length * baseline / (disparity + difference of the principal points)

as D. Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth, GCPR
2014, define it. A network that learnt with one lens sees things through a longer one as nearer: by
the ratio of the two focal lengths, in pixels of the network's input.
"""

from __future__ import annotations

import dataclasses
import os
import re

import numpy as np
from numpy.typing import NDArray

from tflm_vit.files import opened, read_text, reading

Floats = NDArray[np.float64]
PACKAGE = "motorcycle"  # the one that scikit-image comes with
COLOR, DISPARITY, CALIBRATION = "im0.png", "disp0.pfm", "calib.txt"  # of a folder
_CLOSE = 1.25
_HELP = (
    f"give the name {PACKAGE} (pip install scikit-image), or a folder with {COLOR}, {DISPARITY} "
    f"and {CALIBRATION} as the Middlebury stereo data has them"
)


class PhotographError(ValueError):
    """There is no such photograph; the message says what to give."""


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """The left picture of a rectified pair.

    Attributes:
      name: what was given.
      source: where it comes from.
      color: uint8 (height, width, 3).
      disparity: (height, width), in pixels; nan or inf where it is not known.
      focal_px: focal length.
      middle_px: principal point's column.
      offset_px: by how much the right picture's is greater.
      baseline_m: distance of the cameras.
    """

    name: str
    source: str
    color: NDArray[np.uint8]
    disparity: Floats
    focal_px: float
    middle_px: float
    offset_px: float
    baseline_m: float

    @property
    def depth(self) -> Floats:
        """Metres, (height, width); nan where it is not known."""
        away = self.disparity + self.offset_px
        known = np.isfinite(away) & (away > 0)
        return np.where(known, self.focal_px * self.baseline_m / np.where(known, away, 1.0), np.nan)

    def square(self, side: int) -> PhotographView:
        """As a network of ``side`` pixels takes it: the largest square around the principal point,
        colors averaged, depth that of the middle of each pixel."""
        from PIL import Image

        height, width = self.disparity.shape
        most = min(height, width)
        left = int(np.clip(round(self.middle_px - most / 2), 0, width - most))
        top = (height - most) // 2
        rows, columns = slice(top, top + most), slice(left, left + most)
        small = Image.fromarray(self.color[rows, columns]).resize(
            (side, side), Image.Resampling.BOX
        )
        middle = ((np.arange(side) + 0.5) * most / side).astype(int)
        depth = self.depth[rows, columns][np.ix_(middle, middle)]
        return PhotographView(np.asarray(small, np.uint8), depth, self.focal_px * side / most)


@dataclasses.dataclass(frozen=True, eq=False)
class PhotographView:
    """What a network sees of it: uint8 (side, side, 3), metres (side, side) or nan, pixels."""

    color: NDArray[np.uint8]
    depth: Floats
    focal_px: float


def focal_length(side: int, degrees: float) -> float:
    """In pixels, of a picture of ``side`` pixels that shows ``degrees`` from top to bottom."""
    return float(side / 2 / np.tan(np.radians(degrees) / 2))


# ---- where it comes from -------------------------------------------------------------------------


def photograph(name: str) -> Photograph:
    """The package's, or that of a folder.

    Raises:
      PhotographError: neither, or the folder's files do not go together.
    """
    if name == PACKAGE:
        return _of_package()
    if not os.path.isdir(name):
        raise PhotographError(f"--photograph={name}: no such folder; {_HELP}")
    return _of_folder(name)


def _of_package() -> Photograph:
    try:
        import skimage
        from skimage.data import stereo_motorcycle
    except ImportError as error:
        raise PhotographError(f"--photograph={PACKAGE}: {error}; {_HELP}") from error
    color, _, disparity = stereo_motorcycle()
    # What the function's documentation says; it is that of the data set, at a quarter of its size.
    return Photograph(
        PACKAGE,
        f"scikit-image {skimage.__version__}, data.stereo_motorcycle",
        np.asarray(color, np.uint8),
        np.asarray(disparity, np.float64),
        focal_px=994.978,
        middle_px=311.193,
        offset_px=31.086,
        baseline_m=0.193001,
    )


def _of_folder(folder: str) -> Photograph:
    from PIL import Image

    paths = {name: os.path.join(folder, name) for name in (COLOR, DISPARITY, CALIBRATION)}
    with reading(paths[COLOR], "a picture", PhotographError), Image.open(paths[COLOR]) as image:
        color = np.asarray(image.convert("RGB"), np.uint8)
    with reading(paths[DISPARITY], "disparities", PhotographError):
        disparity = _portable_float_map(paths[DISPARITY])
    if disparity.shape != color.shape[:2]:
        raise PhotographError(
            f"{paths[DISPARITY]}: got {list(disparity.shape)} pixels, expected the picture's "
            f"{list(color.shape[:2])}"
        )
    with reading(paths[CALIBRATION], "a calibration", PhotographError):
        text = read_text(paths[CALIBRATION])
    camera = _found(r"cam0\s*=\s*\[([^\]]*)\]", text, paths[CALIBRATION], "cam0=[f 0 cx; ...]")
    focal, _, middle = (float(value) for value in camera.replace(";", " ").split()[:3])
    offset, baseline = (
        float(_found(rf"{key}\s*=\s*(\S+)", text, paths[CALIBRATION], f"{key}=NUMBER"))
        for key in ("doffs", "baseline")
    )
    name = os.path.basename(os.path.normpath(folder))
    return Photograph(
        name, f"{COLOR}, {DISPARITY}, {CALIBRATION}", color, disparity, focal, middle, offset,
        baseline / 1000.0,
    )  # fmt: skip


def _found(pattern: str, text: str, path: str, expected: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise PhotographError(f"{path}: expected a line {expected}")
    return match[1]


def _portable_float_map(path: str) -> Floats:
    """Of one channel: rows from the bottom up."""
    with opened(path) as file:
        kind, size, scale = (file.readline().split() for _ in range(3))
        if kind != [b"Pf"] or len(size) != 2:
            raise PhotographError(f"{path}: expected a portable float map of one channel")
        width, height = (int(number) for number in size)
        order = "<f4" if float(scale[0]) < 0 else ">f4"
        values = np.frombuffer(file.read(4 * width * height), order)
    return values.reshape(height, width)[::-1].astype(np.float64)


# ---- how far off ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Closeness:
    """AbsRel, and the share of pixels within a factor of 1.25."""

    abs_rel: float
    delta: float


@dataclasses.dataclass(frozen=True)
class PhotographScores:
    """How far off the depth of a photograph is, over the pixels whose depth is known.

    Attributes:
      raw: metres as the network says them.
      through_lens: times the ratio of the focal lengths.
      aligned: times the factor that makes the medians equal.
      factor: that factor.
      rank: Spearman's correlation; None of a constant.
    """

    raw: Closeness
    through_lens: Closeness
    aligned: Closeness
    factor: float
    rank: float | None


def closeness(depth: Floats, true: Floats) -> Closeness:
    """Of depths of the same pixels, all known."""
    ratio = depth / true
    near = np.maximum(ratio, 1.0 / ratio) < _CLOSE
    return Closeness(float(np.abs(ratio - 1.0).mean()), float(near.mean()))


def photograph_scores(depth: Floats, true: Floats, lens: float) -> PhotographScores:
    """Figures of a picture.

    Args:
      depth: metres, as a network says.
      true: metres; nan where it is not known.
      lens: focal length of the picture over that of the training.
    """
    from scipy.stats import spearmanr

    known = np.isfinite(true)
    depth, true = depth[known], true[known]
    factor = float(np.median(true) / np.median(depth))
    rank = None if np.ptp(depth) == 0 else float(spearmanr(depth, true).statistic)
    return PhotographScores(
        closeness(depth, true),
        closeness(depth * lens, true),
        closeness(depth * factor, true),
        factor,
        rank,
    )
