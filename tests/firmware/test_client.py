# SPDX-License-Identifier: Apache-2.0
"""The client command against the emulated board: 200 images, noise and resets."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
import pytest

from firmware.client import Options, run_client
from firmware.connection import Connection
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError
from firmware.protocol import FrameType
from firmware.transports import NoisyTransport
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel


@pytest.fixture
def options(build_fake, tmp_path):
    images = tmp_path / "images.npy"
    np.save(images, fake_model.images(3))
    return Options(
        port="",
        baud=115200,
        elf=str(build_fake(FakeModel()).elf),
        board="stm32f746g_disco",
        noise=0.002,
        seed=3,
        images=[str(images)],
        count=0,
        model="",
        timeout=60.0,
        operators=True,
        json="",
    )


def test_report(options):
    report = run_client(options)
    best = [int(np.argmax(fake_model.reference(image))) for image in fake_model.images(3)]
    assert [row["class"] for row in report["images"]] == best
    assert [row["name"] for row in report["operators"]] == ["project", "loop", "stack"]
    assert report["board"] == "stm32f746g_disco"
    assert report["mismatches"] is None


def test_bad_command_lines_are_one_line(options):
    for change, text in (
        ({"elf": ""}, "give either --port"),
        ({"images": ["nowhere.png"]}, "no such image: nowhere.png"),
        ({"port": "/dev/null-port", "elf": "", "noise": 0.0}, "cannot open serial port"),
    ):
        with pytest.raises(FirmwareError, match=text):
            run_client(dataclasses.replace(options, **change))
    with pytest.raises(OSError, match=r"nowhere\.tflite"):
        run_client(dataclasses.replace(options, model="nowhere.tflite"))


def test_the_greatest_of_a_large_picture_is_where_it_is():
    """A reply has 16 bits for its place; 96 x 96 pixels of eight classes are more."""
    outputs = np.zeros(96 * 96 * 8, np.int8)
    outputs[70000] = 5

    class Answered(Connection):
        def request(self, kind, payload=b"", timeout_s=None):
            if kind == FrameType.FINISH:
                head = struct.pack("<IHQI", self._image_number, 70000 & 0xFFFF, 1, 1)
                return head + outputs.tobytes()
            return struct.pack("<H", 1) if kind == FrameType.ROW else payload

    result = Answered(transport=None).classify(np.zeros((1, 4, 1), np.int8))
    assert (result.best_class, result.logits[result.best_class]) == (70000, 5)


class Resetting(EmulatedSerial):
    """The board is reset before every `period`th write."""

    def __init__(self, emulator, period):
        super().__init__(emulator)
        self._board = emulator
        self._period = period
        self.resets = 0
        self._writes = 0

    def write(self, data):
        self._writes += 1
        if self._writes % self._period == 0:
            self._board.reset()
            self.resets += 1
        super().write(data)


@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
def test_two_hundred_images_with_noise_and_resets(build_fake, streamed):
    """None is misclassified, none is lost."""
    built = build_fake(FakeModel(streamed=streamed))
    line = Resetting(Emulator(built.board, built.elf), period=97)
    noisy = NoisyTransport(line, seed=2, rate=0.004)
    connection = Connection(noisy)
    images = fake_model.images(200)
    for image in images:
        result = connection.classify(image)
        np.testing.assert_array_equal(result.logits, fake_model.reference(image))
    assert line.resets > 15
    assert connection.restarted > 10
    assert noisy.damaged > 200
    assert connection.repeated > 50
