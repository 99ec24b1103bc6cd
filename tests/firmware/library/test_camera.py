# SPDX-License-Identifier: Apache-2.0
"""Rows of a camera to a network's input: the exported C against its definition in NumPy."""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from boards import get_board
from converter.contract import Contract, with_contract
from converter.plan.model import plan_model
from converter.tflite import parse, serialize
from firmware.formats.library_common import readme
from firmware.library import library_from_model
from firmware.library.camera import (
    MAX_AREA,
    CameraView,
    PixelFormat,
    camera_input,
    center,
    decoded,
    scaled_frame,
)
from firmware.library.library import WARNINGS
from keras_models.datasets.normalization import Normalization
from tests.converter.compile import fused_models
from tests.firmware.library import models
from toolchain import host_c

OK, NULL, STATE, TOO_MANY_ROWS, VIEW = 0, 1, 4, 6, 8
# What the model would do with its arena is not looked at here.
MODEL = """
#include "NAME.h"
#include "NAME_model.h"
int8_t* NAME_model_input(uint8_t* arena) { return (int8_t*)arena; }
const int8_t* NAME_model_output(const uint8_t* arena) { return (const int8_t*)arena; }
void NAME_model_invoke(uint8_t* arena, VitOpHook hook, void* context) {
  (void)arena; (void)hook; (void)context;
}
const char* const NAME_model_op_names[UPPER_MODEL_OP_COUNT];
"""


@functools.cache
def grey() -> bytes:
    image = fused_models.ImageShape(9, 14, 1, 3, 2, 0)
    plain = fused_models.model_bytes(fused_models.vit_ops(1, image=image))
    contract = Contract(Normalization((30.0,), (64.0,)))
    return plan_model(serialize(with_contract(parse(plain), contract))).model_bytes


class Camera:
    """A library's camera on the host."""

    def __init__(self, model: bytes, name: str) -> None:
        made = library_from_model(model, name, get_board("stm32f746g_disco"), check=False)
        self.facts, self.name = made.facts, name
        folder = Path(tempfile.mkdtemp(prefix="vit-camera-"))
        for file in made.files:
            if file.path.parts[0] in ("include", "src", "kernels") and file.text is not None:
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                (folder / file.path).write_text(file.text)
        (folder / "model.c").write_text(MODEL.replace("NAME", name).replace("UPPER", name.upper()))
        sources = [f"src/{name}.c", f"src/{name}_camera.c", "model.c"]
        subprocess.run(
            [host_c().path, "-std=c11", "-O1", "-shared", "-fPIC", *WARNINGS, "-Werror",
             "-Iinclude", "-Isrc", *sources, "-o", "camera.so"],
            cwd=folder, check=True,
        )  # fmt: skip
        self._library = ctypes.CDLL(str(folder / "camera.so"))
        self.state, self.camera = (ctypes.create_string_buffer(1 << 16) for _ in range(2))
        arena = ctypes.create_string_buffer(self.facts.interface.arena_bytes + 16)
        self.arena = ctypes.addressof(arena) + 15 & ~15
        self._kept = arena
        size = ctypes.c_size_t(self.facts.interface.arena_bytes)
        assert self("init", self.state, ctypes.c_void_p(self.arena), size) == OK

    def __call__(self, function: str, *arguments: object) -> int:
        return int(getattr(self._library, f"{self.name}_{function}")(*arguments))

    @property
    def shape(self) -> tuple[int, int, int]:
        image = self.facts.interface.image
        return image.height, image.width, image.channels

    def begin(self, *words: int) -> int:
        layout = np.array(words[:1], np.uint32).tobytes() + np.array(words[1:], np.uint16).tobytes()
        return self("camera_begin", self.camera, self.state, layout)

    def rows(self, rows: np.ndarray) -> int:
        count = ctypes.c_size_t(len(rows))
        return self("camera_rows", self.camera, np.ascontiguousarray(rows).tobytes(), count)

    def input(self) -> np.ndarray:
        held = ctypes.string_at(self.arena, int(np.prod(self.shape)))
        return np.frombuffer(held, np.int8).reshape(self.shape)


@functools.cache
def camera(kind: str) -> Camera:
    return Camera(models.first(), "first") if kind == "color" else Camera(grey(), "grey")


def words_of(view: CameraView) -> tuple[int, ...]:
    return (
        view.format, view.frame_width, view.frame_height, view.left, view.top, view.width,
        view.height,
    )  # fmt: skip


@st.composite
def views(draw: st.DrawFn) -> CameraView:
    pixels = draw(st.sampled_from(list(PixelFormat)))
    w, h = draw(st.integers(1, 30)) * 2, draw(st.integers(1, 45))
    left, top = draw(st.integers(0, w - 1)), draw(st.integers(0, h - 1))
    return CameraView(
        pixels, w, h, left, top, draw(st.integers(1, w - left)), draw(st.integers(1, h - top))
    )


@given(views(), st.sampled_from(["color", "grey"]), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None, derandomize=True, phases=[Phase.generate])
def test_rows_become_the_input_of_the_definition(view: CameraView, kind: str, seed: int) -> None:
    """Any part of a frame, larger or smaller than the image, in pieces of any number of rows."""
    c, rng = camera(kind), np.random.default_rng(seed)
    bytes_ = view.frame_width * view.format.pixel_bytes
    frame = rng.integers(0, 256, (view.frame_height, bytes_)).astype(np.uint8)
    assert c.begin(*words_of(view)) == OK
    at = 0
    while at < len(frame):
        count = int(rng.integers(1, len(frame) - at + 1))
        assert c.rows(frame[at : at + count]) == OK
        at += count
    height, width, channels = c.shape
    expected = camera_input(frame, view, c.facts.said.pixels, width, height, channels)
    np.testing.assert_array_equal(c.input(), expected)
    assert c("finish", c.state) == OK


def test_only_images_that_bytes_can_become_have_a_camera() -> None:
    """Nothing says how bytes become the second model's input; the third has tensors."""
    for model, there in ((models.first(), True), (models.second(), False), (models.third(), False)):
        made = library_from_model(model, "net", get_board("stm32f746g_disco"), check=False)
        names = {file.path.name for file in made.files}
        assert ({"net_camera.h", "net_camera.c"} <= names) == there
        assert ("net_camera.h" in readme(made, "")) == there


def test_calls_that_do_not_fit_change_nothing() -> None:
    c = camera("color")
    ctypes.memset(c.camera, 0, 64)
    assert c.rows(np.zeros((1, 8), np.uint8)) == STATE
    good = CameraView(PixelFormat.RGB565, 8, 6, 1, 1, 4, 4)
    assert c.begin(*words_of(good)) == OK
    assert c.rows(np.zeros((7, 16), np.uint8)) == TOO_MANY_ROWS
    assert c.rows(np.zeros((6, 16), np.uint8)) == OK
    assert c.rows(np.zeros((1, 16), np.uint8)) == TOO_MANY_ROWS
    assert c("camera_begin", None, c.state, b"\0" * 16) == NULL
    assert c("camera_rows", c.camera, None, ctypes.c_size_t(0)) == NULL
    bad = [
        (0, 8, 6, 5, 1, 4, 4), (0, 8, 6, 1, 3, 4, 4), (0, 8, 6, 1, 1, 0, 4), (0, 8, 6, 1, 1, 4, 0),
        (5, 8, 6, 1, 1, 4, 4), (2, 7, 6, 1, 1, 4, 4), (3, 7, 6, 1, 1, 4, 4),
        (4, 65535, 300, 0, 0, 65535, 300),
    ]  # fmt: skip
    for words in bad:
        assert c.begin(*words) == VIEW, words
        assert c.rows(np.zeros((1, 16), np.uint8)) == STATE
        with pytest.raises(ValueError):
            CameraView(PixelFormat(words[0]), *words[1:])


def test_largest_area_does_not_overflow() -> None:
    c, side = camera("grey"), 4096
    view = CameraView(PixelFormat.GREY, side, side, 0, 0, side, side)
    assert view.width * view.height == MAX_AREA
    assert c.begin(*words_of(view)) == OK
    white = np.full((256, side), 255, np.uint8)
    assert [c.rows(white) for _ in range(side // 256)] == [OK] * 16
    assert (c.input() == c.facts.said.pixels.table[0][255]).all()


@pytest.mark.parametrize(("width", "height"), [(320, 240), (480, 272), (240, 320), (64, 64)])
def test_the_middle_of_a_frame(width: int, height: int) -> None:
    """As wide and high as the frame allows; C and NumPy choose the same."""
    c = camera("color")
    rows, columns, _ = c.shape
    view = center(PixelFormat.YUYV, width, height, columns, rows)
    assert view.width == width or view.height == height
    assert abs(view.width * rows - view.height * columns) <= max(rows, columns)

    class Layout(ctypes.Structure):
        _fields_ = [("format", ctypes.c_int)] + [(f"f{i}", ctypes.c_uint16) for i in range(6)]

    function = c._library.first_camera_center
    function.restype = Layout
    got = function(2, ctypes.c_uint16(width), ctypes.c_uint16(height))
    assert tuple(getattr(got, name) for name, _ in Layout._fields_) == words_of(view)


def test_colors_are_what_cameras_mean() -> None:
    """White, black, grey and primaries, against the formulas of the standards."""
    red, green, blue = 0xF800, 0x07E0, 0x001F
    words = np.array([[0, 0xFFFF, red, green, blue]], "<u2")
    rgb = decoded(words.view(np.uint8), PixelFormat.RGB565, 3)[0].tolist()
    assert rgb == [[0, 0, 0], [255] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    swapped = decoded(words.byteswap().view(np.uint8), PixelFormat.RGB565_SWAPPED, 3)[0]
    assert swapped.tolist() == rgb
    y, u, v = np.meshgrid(*[np.arange(0, 256, 15)] * 3, indexing="ij")
    pairs = np.stack([y, u, y, v], axis=-1).reshape(1, -1).astype(np.uint8)
    got = decoded(pairs, PixelFormat.YUYV, 3)[0, ::2]
    y, u, v = (each.reshape(-1).astype(np.float64) for each in (y, u - 128.0, v - 128.0))
    real = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], axis=-1)
    assert np.max(np.abs(got - np.clip(real, 0, 255))) < 0.51
    uyvy = pairs.reshape(-1, 2)[:, ::-1].reshape(1, -1)
    np.testing.assert_array_equal(decoded(uyvy, PixelFormat.UYVY, 3)[0, ::2], got)


def test_scaling_is_the_mean_of_an_area() -> None:
    frame = np.arange(48, dtype=np.uint8).reshape(6, 8)
    half = scaled_frame(frame, CameraView(PixelFormat.GREY, 8, 6, 0, 0, 8, 6), 4, 3, 1)[..., 0]
    np.testing.assert_array_equal(half, frame.reshape(3, 2, 4, 2).mean(axis=(1, 3)) + 0.5)
    same = scaled_frame(frame, CameraView(PixelFormat.GREY, 8, 6, 2, 1, 4, 3), 4, 3, 1)[..., 0]
    np.testing.assert_array_equal(same, frame[1:4, 2:6])
