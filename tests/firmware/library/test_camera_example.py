# SPDX-License-Identifier: Apache-2.0
"""examples/camera_f746 on the emulated board: a frame through DCMI and DMA to a label."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from boards import get_board
from converter.compile.interface import image_of
from converter.runtimes import open_runtime
from converter.tflite import parse
from firmware import export
from firmware.elf import Elf
from firmware.library.camera import PixelFormat, camera_input, center
from firmware.library.pixels import pixels_of
from tests.firmware.library import models
from tests.firmware.library.dcmi_stub import CameraBoard, StubbedCamera

EXAMPLE = Path(export.__file__).parents[1] / "examples" / "camera_f746"
WIDTH, HEIGHT = 320, 240
BOARD = get_board("stm32f746g_disco")
pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def recorded() -> np.ndarray:
    """A frame in RGB565: a bright disc over a slope of colors, with a sensor's noise."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    disc = 90.0 * ((x - 190) ** 2 + (y - 100) ** 2 < 60**2)
    rng = np.random.default_rng(8)
    colors = [x / 2, 255 - y, 60 + (x + y) / 4]
    r, g, b = (np.clip(c + disc + rng.normal(0, 3, c.shape), 0, 255).astype(int) for c in colors)
    return ((r >> 3) << 11 | (g >> 2) << 5 | b >> 3).astype("<u2").view(np.uint8)


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Elf:
    """Built by the lines of its README, of the exported folders."""
    folder = tmp_path_factory.mktemp("camera") / "camera_f746"
    shutil.copytree(EXAMPLE, folder)
    (folder / "fused.tflite").write_bytes(models.first())
    for words in re.findall(r"^python -m firmware\.export (.*)$", readme(), re.M):
        arguments = [f"--out={folder / w[6:]}" if w.startswith("--out=") else w
                     for w in words.split()]  # fmt: skip
        export.main([w.replace("fused.tflite", str(folder / "fused.tflite")) for w in arguments])
    for line in re.findall(r"^cmake .*$", readme(), re.M):
        subprocess.run(line.split(), cwd=folder, check=True, capture_output=True)
    return Elf(folder / "build" / "camera.elf")


def readme() -> str:
    return (EXAMPLE / "README.md").read_text(encoding="utf-8")


def said(elf: Elf, polls: int, frames: int = 1) -> str:
    machine = CameraBoard(BOARD, elf)
    rows = [bytes(row) for row in recorded()]
    StubbedCamera(machine, rows, polls)
    for _ in range(frames):
        machine.run([elf.address("console_idle")], 50_000_000)
    return machine.chip.console.sent.decode()


def test_a_frame_becomes_the_label_of_the_reference(elf: Elf) -> None:
    model = models.first()
    parsed = parse(model)
    facts = image_of(parsed.graph)
    height, width, channels = facts.height, facts.width, facts.channels
    view = center(PixelFormat.RGB565, WIDTH, HEIGHT, width, height)
    pixels = pixels_of(parsed, facts)
    x = camera_input(recorded(), view, pixels, width, height, channels)
    output = np.ravel(open_runtime("reference", model).run(x[np.newaxis])[0])
    best = int(np.argmax(output))
    assert said(elf, 3, 2) == f"{models.NAMES[best]}, output {output[best]}\r\n" * 2


def test_rows_that_came_too_fast_are_said(elf: Elf) -> None:
    assert said(elf, 0) == "frame lost\r\n"
