# SPDX-License-Identifier: Apache-2.0
"""Weights in the QSPI flash: both parts, an unknown part, a wrong image, and reads too early."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from firmware.connection import Connection, RequestError
from firmware.emulator import quadspi
from firmware.emulator.emulator import Emulator
from firmware.emulator.faults import GuestFault
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError
from firmware.protocol import ErrorCode
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel

EXTERNAL = FakeModel(section=".extflash.vit_weights")
QSPI = 0x90000000


@pytest.mark.parametrize("device", [quadspi.N25Q128A, quadspi.W25Q128J], ids=lambda d: d.name)
def test_both_parts_of_the_board_work(build_fake, device):
    built = build_fake(EXTERNAL)
    emulator = Emulator(built.board, built.elf, external_device=device)
    for image in fake_model.images(3):
        logits = emulator.classify(image).logits
        np.testing.assert_array_equal(logits, fake_model.reference(image))
    emulator.close_window()
    emulator.reset()
    image = fake_model.images(1)[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))


def test_window_is_guarded_until_mapped_and_then_exactly_open(build_fake):
    built = build_fake(EXTERNAL)
    log = Emulator(built.board, built.elf).machine.chip.log
    regions = []
    for base, attributes in zip(
        [w.value for w in log if (w.block, w.offset) == ("PPB", 0xED9C)],
        [w.value for w in log if (w.block, w.offset) == ("PPB", 0xEDA0)],
        strict=True,
    ):
        regions.append((base, 2 << (attributes >> 1 & 0x1F), attributes >> 24 & 7))
    # Base, bytes, access permission (0 none, 6 read only).
    assert regions[1:] == [(QSPI, 256 << 20, 0), (QSPI, 16 << 20, 6)]


def test_unknown_part_is_reported_and_images_are_refused(build_fake):
    built = build_fake(EXTERNAL)
    unknown = dataclasses.replace(quadspi.N25Q128A, jedec_id=bytes((0xC2, 0x20, 0x18)))
    emulator = Emulator(built.board, built.elf, external_device=unknown)
    assert "unknown device, JEDEC id 0x00c22018" in emulator.banner
    with pytest.raises(FirmwareError, match="takes no image: external flash: unknown device"):
        emulator.classify(fake_model.images(1)[0])
    connection = Connection(EmulatedSerial(emulator))
    assert connection.info().name == "stm32f746g_disco"
    with pytest.raises(RequestError) as caught:
        connection.classify(fake_model.images(1)[0])
    assert caught.value.code == ErrorCode.EXTERNAL_FLASH


def test_wrong_weights_are_found(build_fake):
    built = build_fake(EXTERNAL)
    emulator = Emulator(built.board, built.elf)
    old = emulator.machine.read(QSPI + 7, 1)[0]
    emulator.machine.write(QSPI + 7, bytes((old ^ 1,)))
    emulator.reset()
    assert "holds other weights, CRC 0x" in emulator.banner
    with pytest.raises(FirmwareError, match="takes no image"):
        emulator.classify(fake_model.images(1)[0])


def test_reading_before_mapping_is_a_fault(build_fake):
    """Internal weights: the controller is never set up, and nothing may touch the window."""
    statement = f"(void)*(volatile int*){QSPI:#x};"
    built = build_fake(FakeModel(operator_zero_prologue=statement))
    with pytest.raises(GuestFault, match="read from 0x90000000"):
        Emulator(built.board, built.elf).classify(fake_model.images(1)[0])


def test_a_driver_that_forgets_a_step_is_caught(build_fake, monkeypatch):
    """The device model delivers nothing unless its registers say that it would."""
    built = build_fake(EXTERNAL)
    monkeypatch.setattr(quadspi._DeviceState, "write", lambda *_: None)
    with pytest.raises(GuestFault, match="W25Q128J would deliver garbage"):
        Emulator(built.board, built.elf, external_device=quadspi.W25Q128J)
