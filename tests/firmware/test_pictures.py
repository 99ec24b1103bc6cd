# SPDX-License-Identifier: Apache-2.0
"""An output that is a picture: printed by the firmware, streamed to the client and drawn."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boards import get_board
from converter.contract import Contract, with_contract
from converter.plan.model import plan_model
from converter.tflite import serialize
from firmware.connection import Connection
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError
from firmware.model import build_model
from firmware.pictures import answers_of, expect_picture, picture_of
from keras_models.tasks import TASKS
from tests.commands import run_here
from tests.tflm_custom_ops.builtins import one_op

BOARD = "stm32f746g_disco"


def file_of(values: int, task: str) -> bytes:
    """A network that makes a picture of 4x4 pixels: its input, without what is below zero."""
    ends = [one_op.activation(name, (1, 4, 4, values), 1 / 127.5, -1) for name in ("x", "y")]
    model = one_op.model("RELU", None, ends[:1], ends[1])
    return plan_model(serialize(with_contract(model, Contract(task=TASKS[task])))).model_bytes


@pytest.mark.parametrize(("task", "values"), [("depth", 1), ("segmentation", 3)])
def test_a_board_prints_and_sends_a_picture(tmp_path: Path, task: str, values: int) -> None:
    model = file_of(values, task)
    build_model(model, get_board(BOARD), tmp_path / "f.elf")
    connection = Connection(EmulatedSerial(Emulator(get_board(BOARD), tmp_path / "f.elf")))
    image = np.random.default_rng(1).integers(-1, 127, (4, 4, values)).astype(np.int8)
    image[2, 3, 0] = 127
    got = connection.classify(image).logits
    np.testing.assert_array_equal(got, image.reshape(-1))
    connection.info()
    text = connection.text()
    assert f": place {image.argmax()}, value 127, " in text
    stated, answers = answers_of(model, got[None])
    drawn = stated.task.drawn
    assert stated.task is TASKS[task]
    assert drawn is not None
    real = (image.astype(float) + 1) / 127.5
    expected = np.exp(real[..., 0]) if values == 1 else image.argmax(-1)
    np.testing.assert_allclose(drawn(answers)[0], expected, rtol=1e-6)


def test_the_client_draws_what_the_board_said(tmp_path: Path) -> None:
    model, elf = tmp_path / "m.tflite", tmp_path / "f.elf"
    model.write_bytes(file_of(3, "segmentation"))
    build_model(model.read_bytes(), get_board(BOARD), elf)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    np.save(tmp_path / "i.npy", pixels)
    words = (f"--elf={elf}", f"--images={tmp_path}/i.npy", f"--png={tmp_path}/p.png")
    done = run_here("firmware.client", *words, f"--model={model}")
    assert done.returncode == 0, done.stderr
    assert "differ from the host runtime: 0 images" in done.stdout
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width > picture.height > 100
    assert "--png needs --model=FUSED.tflite" in run_here("firmware.client", *words).stderr


def test_only_pictures_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(file_of(3, "classification"))
    with pytest.raises(FirmwareError, match=r"that are pictures, .* is for classification"):
        expect_picture(str(path))
    path.write_bytes(file_of(1, "depth"))
    expect_picture(str(path))
    images = np.zeros((10, 4, 4, 1), np.int8)
    content = picture_of(str(path), images, np.zeros((10, 16), np.int8))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "PNG"
