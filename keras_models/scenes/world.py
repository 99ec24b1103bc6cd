# SPDX-License-Identifier: Apache-2.0
"""One MuJoCo world of a floor, a wall and some objects, whose numbers change between pictures.

Compiling a world takes longer than rendering it, so that one serves `PICTURES_A_WORLD` pictures:
shapes, sizes, places, materials, lights and camera are set in place. The lens is fixed: with a
random one, metric depth cannot be known from a picture.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_models.scenes.textures import png, texture
from keras_models.tasks.box_rows import Edges, around, rows_of

SIDE = 96  # pixels
KINDS = ("sphere", "box", "cylinder", "capsule", "ellipsoid")  # of objects
CLASSES = ("floor", "background", *KINDS)  # of pixels
_FIRST_KIND = len(CLASSES) - len(KINDS)
FARTHEST_M = 8.0  # depth is clipped to it
PICTURES_A_WORLD = 250
MOST_OBJECTS = 7
LEAST_SEEN = 32  # pixels of an object that has a box: half of what a token of 8x8 sees
_MATERIALS = 24
LENS_DEGREES = 55.0  # of view, from top to bottom
_BEHIND = (0.0, -50.0, 0.0)  # where an object is not seen


@dataclasses.dataclass(frozen=True)
class Level:
    """How hard pictures are.

    Attributes:
      name: as given to `--level`.
      textured: objects have patterns, as floor and wall have; else one color each.
      sizes_m: least and greatest half extent of an object.
      dimmest: least strength of a light, of 1.
      noisiest: greatest standard deviation of the noise, in steps of a byte.
    """

    name: str
    textured: bool
    sizes_m: tuple[float, float]
    dimmest: float
    noisiest: float


PLAIN = Level("plain", False, (0.22, 0.48), 0.6, 4.0)
TEXTURED = Level("textured", True, (0.1, 0.42), 0.3, 10.0)
LEVELS = {"plain": (PLAIN,), "textured": (TEXTURED,), "mixed": (PLAIN, TEXTURED)}  # in turn

_XML = """<mujoco>
<visual><map znear=".02" zfar="12"/><quality shadowsize="512"/></visual>
<asset>{assets}</asset>
<worldbody>
<light name="l0" pos="0 0 3"/><light name="l1" pos="2 0 3" castshadow="false"/>
<geom name="floor" type="plane" size="6 6 .1" material="m0"/>
<geom name="wall" type="box" size="6 .05 3" pos="0 3 3" material="m1"/>
{objects}
<body name="camera" mocap="true"><camera name="camera"/></body>
</worldbody></mujoco>"""


class RenderError(ValueError):
    """MuJoCo, or what it draws with, is missing; the message says what to install."""


def mujoco_module() -> Any:
    """MuJoCo with its software renderer.

    Raises:
      RenderError: it cannot be imported.
    """
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("PYOPENGL_PLATFORM", "osmesa")
    try:
        import mujoco
    except (ImportError, OSError, AttributeError) as error:
        raise RenderError(
            f"rendering needs MuJoCo and OSMesa: {error}; pip install mujoco PyOpenGL, and "
            "Debian's libosmesa6"
        ) from error
    return mujoco


def _text(rng: np.random.Generator) -> tuple[str, dict[str, bytes]]:
    """The world as XML, and its files."""
    files = {f"t{i}.png": png(texture(rng)) for i in range(_MATERIALS)}
    assets = "".join(
        f'<texture name="t{i}" type="2d" file="t{i}.png"/>'
        f'<material name="m{i}" texture="t{i}" texrepeat="{n} {n}" texuniform="true" '
        f'specular="{rng.uniform(0, 0.6):.2f}" shininess="{rng.random():.2f}"/>'
        for i, n in enumerate(rng.integers(1, 4, _MATERIALS))
    )
    objects = "".join(
        f'<body name="o{i}" mocap="true">'
        f'<geom name="g{i}" type="box" size=".1 .1 .1" material="m0"/></body>'
        for i in range(MOST_OBJECTS)
    )
    return _XML.format(assets=assets, objects=objects), files


class Picture(NamedTuple):
    """A rendered scene.

    Attributes:
      color: RGB uint8 (side, side, 3).
      depth: in metres, float16 (side, side).
      labels: number in `CLASSES` of each pixel, uint8 (side, side).
      boxes: float32 (MOST_OBJECTS, 5), see `box_rows`: around the visible pixels of each object
        that has LEAST_SEEN of them, and its number in `KINDS`.
    """

    color: NDArray[np.uint8]
    depth: NDArray[np.float16]
    labels: NDArray[np.uint8]
    boxes: NDArray[np.float32]


def boxes_seen(geoms: NDArray[np.integer], kinds: dict[int, int]) -> NDArray[np.float32]:
    """The `boxes` of a `Picture`.

    Args:
      geoms: which geom each pixel shows, (side, side).
      kinds: geom of each object -> its kind.
    """
    things: list[tuple[Edges, int]] = []
    for geom, kind in kinds.items():
        seen = geoms == geom
        if seen.sum() >= LEAST_SEEN:
            things.append((around(seen), kind))
    return rows_of(things, SIDE, MOST_OBJECTS)


class World:
    """A compiled world and its renderer; to be closed before the process ends."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._mujoco = mujoco = mujoco_module()
        xml, files = _text(rng)
        self._rng = rng
        self._model = mujoco.MjModel.from_xml_string(xml, files)
        self._data = mujoco.MjData(self._model)
        self._model.cam_fovy[0] = LENS_DEGREES
        try:
            self._renderer = mujoco.Renderer(self._model, SIDE, SIDE)
        except Exception as error:  # of whichever OpenGL it found
            raise RenderError(f"MuJoCo cannot draw: {error}; install Debian's libosmesa6") from None
        kinds = mujoco.mjtGeom
        self._kinds = [
            kinds.mjGEOM_SPHERE, kinds.mjGEOM_BOX, kinds.mjGEOM_CYLINDER, kinds.mjGEOM_CAPSULE,
            kinds.mjGEOM_ELLIPSOID,
        ]  # fmt: skip

    def close(self) -> None:
        self._renderer.close()

    def picture(self, level: Level) -> Picture:
        """Another scene."""
        labels = self._place_objects(level)
        self._place_camera()
        self._light(level)
        self._mujoco.mj_forward(self._model, self._data)
        return self._render(labels, level)

    # ---- what is in it -----------------------------------------------------------------------

    def _place_objects(self, level: Level) -> NDArray[np.uint8]:
        """Draws all objects; returns the class of each geom."""
        model, rng = self._model, self._rng
        labels = np.zeros(model.ngeom, np.uint8)
        labels[model.geom("wall").id] = CLASSES.index("background")
        model.geom_matid[:] = rng.integers(0, _MATERIALS, model.ngeom)
        model.geom_rgba[:, :3] = rng.uniform(0.5, 1, (model.ngeom, 3))
        model.geom_pos[model.geom("wall").id, 1] = rng.uniform(2.5, 5)
        seen = int(rng.integers(2, MOST_OBJECTS + 1))
        for i in range(MOST_OBJECTS):
            labels[model.geom(f"g{i}").id] = self._place_object(i, i < seen, level)
        return labels

    def _place_object(self, number: int, seen: bool, level: Level) -> int:
        """Draws one object; returns its class."""
        model, rng, geom = self._model, self._rng, self._model.geom(f"g{number}").id
        kind = int(rng.integers(len(self._kinds)))
        size = rng.uniform(*level.sizes_m, 3)
        if KINDS[kind] == "ellipsoid":
            size = size.max() * np.array([1, 0.55, 0.4])
        model.geom_type[geom], model.geom_size[geom] = self._kinds[kind], size
        model.geom_rbound[geom] = 2.0  # of its old size else: it would be left out at the edge
        if not level.textured:
            model.geom_matid[geom] = -1  # one color
            model.geom_rgba[geom, :3] = rng.uniform(0.2, 1, 3)
        stands = rng.random() < 0.5
        height = (size[0], size[2], size[1], size[0] + size[1], size[2])[kind]
        height = height if stands else height + rng.uniform(0, 0.5)
        place = (*rng.uniform([-1.5, -1], [1.5, 2.4]), height)
        turn = rng.uniform(0, np.pi)
        quaternion = np.array([np.cos(turn), 0, 0, np.sin(turn)]) if stands else rng.normal(size=4)
        self._data.mocap_pos[number] = place if seen else _BEHIND
        self._data.mocap_quat[number] = quaternion / np.linalg.norm(quaternion)
        return _FIRST_KIND + kind

    def _place_camera(self) -> None:
        rng = self._rng
        eye = rng.uniform([-1, -2.6, 0.5], [1, -1.6, 1.8])
        at = rng.uniform([-0.4, 0.3, 0], [0.4, 1.2, 0.6])
        back = (eye - at) / np.linalg.norm(eye - at)  # cameras look along their negative z
        right = np.cross([0, 0, 1], back)
        right /= np.linalg.norm(right)
        rotation, quaternion = np.stack([right, np.cross(back, right), back], 1), np.zeros(4)
        self._mujoco.mju_mat2Quat(quaternion, rotation.ravel())
        self._data.mocap_pos[MOST_OBJECTS], self._data.mocap_quat[MOST_OBJECTS] = eye, quaternion

    def _light(self, level: Level) -> None:
        model, rng = self._model, self._rng
        model.light_pos[:] = rng.uniform([-2.5, -2.5, 2], [2.5, 1.5, 4], (2, 3))
        model.light_diffuse[:] = rng.uniform(level.dimmest, 1, (2, 1)) * rng.uniform(0.7, 1, (2, 3))
        model.light_ambient[:] = rng.uniform(0.02, 0.2)

    # ---- what is seen ------------------------------------------------------------------------

    def _render(self, labels: NDArray[np.uint8], level: Level) -> Picture:
        renderer, rng = self._renderer, self._rng
        renderer.update_scene(self._data, "camera")
        color = renderer.render().astype(np.float64)
        renderer.enable_depth_rendering()
        depth = renderer.render()
        renderer.disable_depth_rendering()
        renderer.enable_segmentation_rendering()
        geoms = renderer.render()[..., 0]
        renderer.disable_segmentation_rendering()
        sky = CLASSES.index("background")
        mask = np.where(geoms < 0, sky, labels[np.maximum(geoms, 0)]).astype(np.uint8)
        noise = rng.normal(0, rng.uniform(1, level.noisiest), color.shape)
        color = np.clip(color * rng.uniform(0.8, 1.25) + noise, 0, 255).astype(np.uint8)
        depth = np.minimum(depth, FARTHEST_M).astype(np.float16)
        return Picture(color, depth, mask, boxes_seen(geoms, self._kinds_of(labels)))

    def _kinds_of(self, labels: NDArray[np.uint8]) -> dict[int, int]:
        """The kind of each object's geom."""
        geoms = (int(self._model.geom(f"g{i}").id) for i in range(MOST_OBJECTS))
        return {geom: int(labels[geom]) - _FIRST_KIND for geom in geoms}


def pictures(
    count: int, seed: tuple[int, ...], levels: tuple[Level, ...] = (PLAIN,)
) -> Iterator[Picture]:
    """Scenes of the levels in turn that follow from the seed; see `World.picture`."""
    rng, world = np.random.default_rng(seed), None
    try:
        for number in range(count):
            if number % PICTURES_A_WORLD == 0:
                if world is not None:
                    world.close()
                world = World(rng)
            assert world is not None
            yield world.picture(levels[number % len(levels)])
    finally:
        if world is not None:
            world.close()  # before the process ends, else PyOpenGL prints a traceback
