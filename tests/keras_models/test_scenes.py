# SPDX-License-Identifier: Apache-2.0
"""What a level of rendered scenes changes: against a stand-in for MuJoCo, and with it where it is
installed."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_models.scenes import world
from keras_models.scenes.world import LEVELS, PLAIN, SIDE, TEXTURED, Level, pictures
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


class _Renderer:
    """Grey, two metres away, floor."""

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
            return np.zeros((*self._shape, 2), int)
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
    for color, depth, labels in pictures(40, (3,), (level,)):
        assert color.shape == (SIDE, SIDE, 3)
        assert depth.shape == labels.shape == (SIDE, SIDE)
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


def test_a_level_that_does_not_exist(tmp_path: Path) -> None:
    said = run_here("keras_models.render_scenes", "--level=dark", f"--out={tmp_path}/made")
    assert said.returncode == 2
    assert "--level=dark" in said.stderr
    assert not (tmp_path / "made").exists()


def test_rendered(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    first, again, plain = (
        list(pictures(4, (7, 0), LEVELS[level])) for level in ("textured", "textured", "plain")
    )
    for one, other in zip(first, again, strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert all((a[0] != b[0]).any() for a, b in zip(first, plain, strict=True))
    means = [np.mean([color.mean() for color, *_ in some]) for some in (first, plain)]
    assert means[0] < means[1]
    for _, depth, labels in first:
        assert set(np.unique(labels)) <= set(range(len(world.CLASSES)))
        assert 0.1 <= depth.min() <= depth.max() <= world.FARTHEST_M
