# SPDX-License-Identifier: Apache-2.0
"""What a level of rendered scenes changes: against a stand-in for MuJoCo, and with it where it is
installed."""

from __future__ import annotations

import hashlib
import importlib.util
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_models.datasets import DatasetError, load_dataset
from keras_models.datasets.made import SPLITS
from keras_models.datasets.scenes import KEYS
from keras_models.load import resolve_arch
from keras_models.scenes import world
from keras_models.scenes.world import (
    KINDS,
    LEAST_SEEN,
    LEVELS,
    MOST_OBJECTS,
    PLAIN,
    SIDE,
    TEXTURED,
    Level,
    Picture,
    boxes_seen,
    pictures,
)
from keras_models.tasks.box_rows import NOBODY
from keras_models.training.recipe import recipe_for
from tests.commands import run_here

_OBJECTS = range(2, 9)  # geoms behind floor and wall


class _Model:
    """The numbers of a compiled world."""

    ngeom = 9

    def __init__(self) -> None:
        self.geom_matid = np.zeros(9, int)
        self.geom_rgba, self.geom_pos, self.geom_size = (np.zeros((9, n)) for n in (4, 3, 3))
        self.geom_type, self.geom_rbound = np.zeros(9, int), np.zeros(9)
        self.light_pos, self.light_diffuse, self.light_ambient = (
            np.zeros((2, 3)) for _ in range(3)
        )
        self.cam_fovy = np.zeros(1)

    def geom(self, name: str) -> Any:
        place = {"floor": 0, "wall": 1}.get(name)
        return types.SimpleNamespace(id=int(name[1:]) + 2 if place is None else place)


def _geoms() -> Any:
    """What each pixel shows: floor, and two objects side by side, of which one hides a third."""
    shown = np.zeros((SIDE, SIDE, 2), int)
    shown[10:30, 20:40] = 2
    shown[10:30, 40:50] = 4
    shown[29, 20:25] = 5
    return shown


class _Renderer:
    """Grey, two metres away, see `_geoms`."""

    def __init__(self, model: _Model, height: int, width: int) -> None:
        del model
        self._shown: Any = None
        self._shape = (height, width)

    def __getattr__(self, name: str) -> Any:
        kinds = {"enable_depth_rendering": 1, "enable_segmentation_rendering": 2}
        return lambda *_: setattr(self, "_shown", kinds.get(name))

    def render(self) -> Any:
        if self._shown == 1:
            return np.full(self._shape, 2.0)
        if self._shown == 2:
            return _geoms()
        return np.full((*self._shape, 3), 100)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[_Model]:
    """The models that are compiled."""
    made: list[_Model] = []

    def compiled(*_: Any) -> _Model:
        made.append(_Model())
        return made[-1]

    kinds = ("SPHERE", "BOX", "CYLINDER", "CAPSULE", "ELLIPSOID")
    module = types.SimpleNamespace(
        MjModel=types.SimpleNamespace(from_xml_string=compiled),
        MjData=lambda _: types.SimpleNamespace(
            mocap_pos=np.zeros((8, 3)), mocap_quat=np.zeros((8, 4))
        ),
        Renderer=_Renderer,
        mjtGeom=types.SimpleNamespace(**{f"mjGEOM_{kind}": n for n, kind in enumerate(kinds)}),
        mj_forward=lambda *_: None,
        mju_mat2Quat=lambda *_: None,
    )
    monkeypatch.setattr(world, "mujoco_module", lambda: module)
    return made


def _noise(color: Any) -> float:
    """Standard deviation of what was one grey."""
    return float(color.astype(float).std())


@pytest.mark.parametrize("level", [PLAIN, TEXTURED], ids=lambda level: level.name)
def test_what_a_level_draws(stand_in: list[_Model], level: Level) -> None:
    noise, dimmest, least, most = [], 1.0, 9.0, 0.0
    for color, depth, labels, boxes in pictures(40, (3,), (level,)):
        assert color.shape == (SIDE, SIDE, 3)
        assert depth.shape == labels.shape == (SIDE, SIDE)
        assert (boxes[:2, :4] * SIDE).round().astype(int).tolist() == [
            [20, 10, 40, 30],
            [40, 10, 50, 30],
        ]
        of_pixels = [labels[15, 25], labels[15, 45]]
        assert [world.CLASSES.index(KINDS[int(kind)]) for kind in boxes[:2, 4]] == of_pixels
        assert (boxes[2:, 4] == NOBODY).all()
        (model,) = stand_in
        materials = model.geom_matid[list(_OBJECTS)]
        assert (materials[:2] >= 0).all() if level.textured else (materials == -1).all()
        assert (model.geom_matid[:2] >= 0).all()  # floor and wall always have one
        sizes = model.geom_size[list(_OBJECTS)]
        least, most = min(least, sizes.max(axis=1).min()), max(most, sizes.max())
        dimmest = min(dimmest, model.light_diffuse.max(axis=1).min())
        noise.append(_noise(color))
    assert level.sizes_m[0] <= least
    assert level.sizes_m[1] - 0.05 < most <= level.sizes_m[1]
    assert 0.7 * level.dimmest <= dimmest < level.dimmest + 0.1
    assert 0.7 * level.noisiest < max(noise) < level.noisiest * 1.1 + 0.5


def test_mixed_pictures_take_turns(stand_in: list[_Model]) -> None:
    textured = []
    for _ in pictures(6, (3,), LEVELS["mixed"]):
        textured.append(bool((stand_in[0].geom_matid[list(_OBJECTS)] >= 0).all()))
    assert textured == [False, True] * 3


def test_levels_have_the_names_that_they_are_asked_for_by() -> None:
    assert [level.name for level in LEVELS["plain"] + LEVELS["textured"]] == ["plain", "textured"]
    assert TEXTURED.dimmest < PLAIN.dimmest
    assert TEXTURED.noisiest > PLAIN.noisiest
    assert set(LEVELS["mixed"]) == {PLAIN, TEXTURED}


def test_boxes_are_of_objects_and_not_of_kinds() -> None:
    geoms = np.full((SIDE, SIDE), -1)
    geoms[0:8, 0:8] = geoms[0:8, 20:24] = 2  # in two pieces, something stands before it
    geoms[50:58, 92:96] = 3  # LEAST_SEEN pixels
    geoms[60 : 60 + LEAST_SEEN - 1, 0] = 4
    geoms[70:90, 10:30] = 8  # no object
    boxes = boxes_seen(geoms, dict.fromkeys((2, 3, 4, 5), KINDS.index("cylinder")))
    assert boxes.shape == (MOST_OBJECTS, 5)
    assert (boxes[:2] * [SIDE, SIDE, SIDE, SIDE, 1]).round(4).tolist() == [
        [0, 0, 24, 8, 2],
        [92, 50, 96, 58, 2],
    ]
    assert set(boxes[2:, 4]) == {NOBODY}


# Of main before there were boxes: what is drawn, and in which order, is the seed's.
_DRAWN = "147306df5f766c43"


def test_seeds_draw_what_they_always_drew(stand_in: list[_Model]) -> None:
    digest = hashlib.sha256()
    for picture in pictures(4, (3, 1), LEVELS["mixed"]):
        for part in (*picture[:2], *vars(stand_in[0]).values()):
            digest.update(np.ascontiguousarray(part).tobytes())
    assert digest.hexdigest()[:16] == _DRAWN


def _folder(path: Path, keys: tuple[str, ...]) -> str:
    """Of black pictures, one in each split, with some of what a scene has."""
    one = Picture(
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.ones((SIDE, SIDE), np.float16),
        np.zeros((SIDE, SIDE), np.uint8),
        boxes_seen(_geoms()[..., 0], {2: 0, 4: 4}),
    )
    for split in SPLITS:
        np.savez(path / f"{split}.npz", **{key: getattr(one, key)[None] for key in keys})
    return str(path)


def test_folders_without_boxes_are_still_of_depth_and_classes(tmp_path: Path) -> None:
    folder = _folder(tmp_path, KEYS[:3])
    for name in ("scene_depth", "scene_labels"):
        data = load_dataset(name, folder, image_size=SIDE, channels=3)
        assert [len(data.split(split)) for split in SPLITS] == [1, 1, 1]
    with pytest.raises(DatasetError) as refused:
        load_dataset("scene_boxes", folder, image_size=SIDE, channels=3)
    assert str(refused.value) == (
        f"{folder}/train.npz: has no boxes (got color, depth, labels), which --dataset=scene_boxes "
        "needs; make the folder again: python -m keras_models.render_scenes"
    )


def test_folders_with_boxes(tmp_path: Path) -> None:
    data = load_dataset("scene_boxes", _folder(tmp_path, KEYS), image_size=SIDE, channels=3)
    assert data.class_names == ("left", "top", "right", "bottom", *KINDS)
    boxes = data.test.labels()
    assert boxes.shape == (1, MOST_OBJECTS, 5)
    assert boxes[0, :3, 4].tolist() == [0, 4, NOBODY]
    with pytest.raises(DatasetError, match=r"got \[1, 7, 5\], expected \[1, 4, 5\]; .*--dataset"):
        load_dataset("canvases", str(tmp_path), image_size=SIDE, channels=3)
    with np.load(tmp_path / "test.npz") as file:
        parts = dict(file)
    parts["boxes"][0, 0, 4] = len(KINDS)
    np.savez(tmp_path / "test.npz", **parts)
    with pytest.raises(DatasetError, match=r"test\.npz: .*boxes: got class -1 to 5, expected -1"):
        load_dataset("scene_boxes", str(tmp_path), image_size=SIDE, channels=3)


def test_networks_of_boxes_are_as_large_as_those_of_canvases() -> None:
    for kind in ("", "cnn_"):
        scene, canvas = (resolve_arch(f"{of}detection_{kind}96") for of in ("scene_", ""))
        assert scene.output_shape == (12, 12, 4 + len(KINDS))
        assert scene.replace(num_classes=canvas.num_classes, name=canvas.name) == canvas
        assert recipe_for(scene.name) == recipe_for(canvas.name)


def test_a_level_that_does_not_exist(tmp_path: Path) -> None:
    said = run_here("keras_models.render_scenes", "--level=dark", f"--out={tmp_path}/made")
    assert said.returncode == 2
    assert "--level=dark" in said.stderr
    assert not (tmp_path / "made").exists()


def test_rendered(tmp_path: Path) -> None:
    if importlib.util.find_spec("mujoco") is None:  # imported before `mujoco_module` it needs X11
        pytest.skip("MuJoCo is not installed")
    first, again, plain = (
        list(pictures(4, (7, 0), LEVELS[level])) for level in ("textured", "textured", "plain")
    )
    for one, other in zip(first, again, strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert all((a[0] != b[0]).any() for a, b in zip(first, plain, strict=True))
    means = [np.mean([color.mean() for color, *_ in some]) for some in (first, plain)]
    assert means[0] < means[1]
    for _, depth, labels, boxes in first:
        assert set(np.unique(labels)) <= set(range(len(world.CLASSES)))
        assert 0.1 <= depth.min() <= depth.max() <= world.FARTHEST_M
        _expect_around_their_pixels(boxes[boxes[:, 4] != NOBODY], labels)


def _expect_around_their_pixels(boxes: Any, labels: Any) -> None:
    """Each edge touches a pixel of the kind, and few pixels of a kind are in none of its boxes."""
    assert len(boxes)
    left_over = np.isin(labels, [world.CLASSES.index(kind) for kind in KINDS])
    for *edges, kind in boxes:
        left, top, right, bottom = (round(edge * SIDE) for edge in edges)
        inside = labels[top:bottom, left:right] == world.CLASSES.index(KINDS[int(kind)])
        assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        left_over[top:bottom, left:right] &= ~inside
    assert left_over.sum() < MOST_OBJECTS * LEAST_SEEN
