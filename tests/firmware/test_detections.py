# SPDX-License-Identifier: Apache-2.0
"""Boxes in the firmware: the C that finds them gives those of the definition, and a board says
them."""

from __future__ import annotations

import ctypes
import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boards import get_board
from converter.compile import CompileError, compile_model
from converter.contract import Contract, with_contract
from converter.plan.model import plan_model
from converter.tflite import serialize
from firmware.connection import Connection
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.model import build_model
from firmware.pictures import expect_picture, picture_of
from keras_models.tasks import TASKS
from keras_models.tasks.boxes import LEAST_SHOWN, MOST_BOXES, UNITS, Box, boxes_of, fixed
from tests.tflm_custom_ops.builtins import one_op
from toolchain.compilers import host_c

SOURCES = Path(__file__).resolve().parents[2] / "firmware" / "src"
BOARD = "stm32f746g_disco"
SCALE, ZERO_POINT = 0.0471, -31  # of outputs


class Grid(ctypes.Structure):
    """DetectionGrid."""

    _fields_ = [
        (name, ctypes.c_int32)
        for name in ("rows", "columns", "classes", "multiplier", "shift", "zero_point", "least")
    ]


class Detection(ctypes.Structure):
    """The structure of the same name."""

    _fields_ = [
        ("token", ctypes.c_int32),
        ("label", ctypes.c_int32),
        ("score", ctypes.c_int32),
        ("edges", ctypes.c_int32 * 4),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("detections") / "detections.so"
    source = SOURCES / "app" / "detections.c"
    subprocess.run(
        [host_c().path, "-std=c11", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror",
         "-fsanitize=undefined", "-fno-sanitize-recover", "-fPIC", "-shared",
         f"-I{SOURCES}", str(source), "-o", str(path)],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(path))


def found_by_c(library: ctypes.CDLL, outputs: np.ndarray, scale: float, zero: int) -> list[Box]:
    """Boxes of int8 outputs (h, w, values)."""
    how = fixed(scale, zero)
    rows, columns, values = outputs.shape
    grid = Grid(rows, columns, values - 4, how.multiplier, how.shift, zero, how.least)
    found = (Detection * MOST_BOXES)()
    content = np.ascontiguousarray(outputs).tobytes()
    count = library.detections_find(ctypes.byref(grid), content, found)
    return [Box(f.token, f.label, f.score, tuple(f.edges)) for f in found[:count]]


def expected(outputs: np.ndarray, scale: float, zero: int) -> list[Box]:
    """The definition's, with the scores as the network says them."""
    real = scale * (outputs.astype(np.float64) - zero)
    boxes = boxes_of(real, LEAST_SHOWN)
    return [Box(b.token, b.label, round(b.score / scale) + zero, b.edges) for b in boxes]


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 5),
    st.floats(0.01, 0.2), st.integers(-128, 127), st.booleans(),
)  # fmt: skip
def test_c_finds_the_same_boxes(
    library: ctypes.CDLL, seed: int, rows: int, columns: int, classes: int, scale: float,
    zero: int, near: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    outputs = rng.integers(-128, 128, (rows, columns, 4 + classes)).astype(np.int8)
    if near:  # distances of about a token, and few different scores
        steps = zero + rng.uniform(0.2, 2.0, (rows, columns, 4)) / scale
        outputs[..., :4] = np.clip(steps, -128, 127)
        outputs[..., 4:] = outputs[..., 4:] // 64 * 64
    try:
        fixed(scale, zero)
    except ValueError:
        return
    assert found_by_c(library, outputs, scale, zero) == expected(outputs, scale, zero)


def test_half_of_the_union_is_another_thing(library: ctypes.CDLL) -> None:
    outputs = np.full((4, 4, 5), -128, np.int8)
    outputs[1, 1:3] = [32, 32, 32, 32, 100]  # 1.5 tokens to each side
    got = found_by_c(library, outputs, 1 / 64, -64)
    assert [box.token for box in got] == [5, 6]
    assert got == expected(outputs, 1 / 64, -64)


def test_c_at_the_largest_picture(library: ctypes.CDLL) -> None:
    outputs = np.zeros((64, 64, 5), np.int8)
    outputs[..., :4], outputs[..., 4] = 127, 100
    outputs[:, :40, :4] = -40
    got = found_by_c(library, outputs, 0.5, ZERO_POINT)
    assert got == expected(outputs, 0.5, ZERO_POINT)
    assert max(got[0].edges) == 64 * UNITS


def detector(task: str = "detection", values: int = 7) -> bytes:
    """A network whose outputs are its input, but for what is below zero."""
    shape = (1, 6, 6, values)
    ends = [one_op.activation(name, shape, SCALE, ZERO_POINT) for name in ("x", "y")]
    model = one_op.model("RELU", None, ends[:1], ends[1])
    names = ("left", "top", "right", "bottom", *"abcdefgh"[: values - 4]) if values > 4 else ()
    contract = Contract(task=TASKS[task], class_names=names)
    return plan_model(serialize(with_contract(model, contract))).model_bytes


def test_a_board_says_the_boxes(tmp_path: Path) -> None:
    model = detector()
    build_model(model, get_board(BOARD), tmp_path / "f.elf")
    connection = Connection(EmulatedSerial(Emulator(get_board(BOARD), tmp_path / "f.elf")))
    image = np.random.default_rng(3).integers(ZERO_POINT, 20, (6, 6, 7)).astype(np.int8)
    image[..., 4:] -= 30
    image[1, 1, 5] = image[4, 4, 4] = 120
    outputs = connection.classify(image).logits.reshape(6, 6, 7)
    connection.info()
    boxes = expected(outputs, SCALE, ZERO_POINT)
    assert len(boxes) >= 2
    lines = [
        f"  class {b.label}, logit {b.score}, box "
        + " ".join(str((2 * e * 6 + 6 * UNITS) // (2 * 6 * UNITS)) for e in b.edges)
        for b in boxes
    ]
    assert [f"  boxes {len(boxes)}", *lines] == connection.text().splitlines()[-len(boxes) - 1 :]


def test_boxes_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(detector())
    expect_picture(str(path))
    outputs = np.full((2, 6, 6, 7), ZERO_POINT, np.int8)
    outputs[:, 2, 2] = [*[ZERO_POINT + 20] * 4, -30, 90, -30]
    plain = picture_of(str(path), np.zeros((2, 6, 6, 3), np.int8), np.full((2, 252), -128, np.int8))
    drawn = picture_of(str(path), np.zeros((2, 6, 6, 3), np.int8), outputs.reshape(2, -1))
    seen = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in (plain, drawn)]
    yellow = [((p[..., 0] > 250) & (p[..., 1] > 250) & (p[..., 2] < 10)).sum() for p in seen]
    assert yellow[0] == 0 < 50 < yellow[1]


def test_what_cannot_be_boxes_is_refused() -> None:
    with pytest.raises(CompileError, match=r"task detection: got an output \[1, 6, 6, 4\], exp"):
        compile_model(detector(values=4))
    assert "IS_DETECTOR" not in header(compile_model(detector("segmentation")))
    assert "#define VIT_MODEL_BOX_LEAST" in header(compile_model(detector()))


def header(compiled: object) -> str:
    files = compiled.files  # type: ignore[attr-defined]
    return next(f.content.decode() for f in files if f.name == "vit_model.h")
