# SPDX-License-Identifier: Apache-2.0
"""A line to something that is not this toolkit's firmware, or no longer there."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from firmware.connection import Connection, NoReplyError
from firmware.emulator.qemu.debugger import Debugger, DebuggerError
from firmware.errors import FirmwareError
from firmware.model_info import ModelInfo
from firmware.protocol import PROTOCOL_VERSION, Decoder, FrameType, encode
from firmware.transports import SerialTransport

_REPLY = 0x80
_HEADER = Path(__file__).resolve().parents[2] / "firmware" / "src" / "app" / "protocol.h"
_IMAGE = np.zeros((2, 4, 1), np.int8)


def _info(version: int = PROTOCOL_VERSION, streamed: bool = False) -> bytes:
    model = struct.pack(ModelInfo.FORMAT, version, 2, 4, 1, 3, streamed, 2, 64, 1.0, 0, 1.0, 0)
    return model + struct.pack("<II", 1000, 64) + b"host"


class _Device:
    """Answers each type of request with the payloads that it has for it, the last one for ever."""

    def __init__(self, replies: Mapping[FrameType, tuple[bytes, ...]]) -> None:
        self._replies = {kind: list(payloads) for kind, payloads in replies.items()}
        self._sent = b""
        self.waits: dict[FrameType, float] = {}

    def write(self, data: bytes) -> None:
        (request,) = Decoder().feed(data)
        self._kind = FrameType(request.kind)
        payloads = self._replies[self._kind]
        payload = payloads.pop(0) if len(payloads) > 1 else payloads[0]
        self._sent = encode(self._kind | _REPLY, request.sequence, payload)

    def read(self, timeout_s: float) -> bytes:
        self.waits[self._kind] = timeout_s
        sent, self._sent = self._sent, b""
        return sent


def _answering(**replies: tuple[bytes, ...]) -> _Device:
    usual = {
        "INFO": (_info(),),
        "BEGIN": (bytes(4),),
        "ROW": (b"\1\0", b"\2\0"),
        "FINISH": (struct.pack("<IHQI", 1, 2, 5, 6) + b"\0\1\2",),
        "OPERATOR": (struct.pack("<HQ", 0, 7) + b"name",),
    }
    return _Device({FrameType[kind]: reply for kind, reply in (usual | replies).items()})


def test_the_version_is_that_of_the_firmware():
    found = re.search(r"#define PROTOCOL_VERSION (\d+)u", _HEADER.read_text())
    assert found is not None
    assert int(found[1]) == PROTOCOL_VERSION


def test_a_board_of_this_version_answers():
    connection = Connection(_answering())
    assert connection.info().name == "host"
    assert connection.classify(_IMAGE).logits.tolist() == [0, 1, 2]
    assert connection.operators(1)[0].cycles == 7


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ({"INFO": (_info(PROTOCOL_VERSION + 1),)}, "version 2 of the protocol"),
        ({"INFO": (_info()[:20],)}, "in 20 bytes"),
        ({"INFO": (_info()[:50],)}, "reply to INFO has 2 bytes"),
        ({"INFO": (b"",)}, "speaks version 0"),
        ({"ROW": (b"\1",)}, "reply to ROW has 1 bytes, expected 2"),
        ({"FINISH": (bytes(5),)}, "reply to FINISH has 5 bytes, expected 18"),
        ({"FINISH": (struct.pack("<IHQI", 1, 3, 5, 6) + b"\0\1\2",)}, "named output 3 of 3"),
        ({"OPERATOR": (b"\0\0",)}, "reply to OPERATOR has 2 bytes"),
        ({"ROW": (b"\0\0",)}, "lost the image 3 times"),
    ],
)
def test_replies_of_another_protocol_are_said(replies, said):
    connection = Connection(_answering(**replies), attempts=3)

    def talk() -> None:
        connection.info()
        connection.classify(_IMAGE)
        connection.operators(1)

    with pytest.raises(FirmwareError, match=said):
        talk()


@pytest.mark.parametrize(("streamed", "waits"), [(False, 0.5), (True, 9.0)])
def test_a_lost_row_is_missed_early_where_no_model_works_on_it(streamed, waits):
    device = _answering(INFO=(_info(streamed=streamed),))
    connection = Connection(device, timeout_s=0.5, inference_timeout_s=9.0)
    connection.info()
    connection.classify(_IMAGE)
    assert (device.waits[FrameType.ROW], device.waits[FrameType.FINISH]) == (waits, 9.0)


def test_a_line_that_is_never_silent_is_given_up():
    class Talking:
        def write(self, data: bytes) -> None:
            pass

        def read(self, timeout_s: float) -> bytes:
            return b"$GPGGA,123519,4807.038,N\r\n"

    start = time.monotonic()
    with pytest.raises(NoReplyError, match="no reply to INFO after 2 attempts"):
        Connection(Talking(), timeout_s=0.02, attempts=2).info()
    assert time.monotonic() - start < 5


def test_a_port_that_is_gone_is_named(monkeypatch):
    line = SerialTransport("loop://", 115200)

    class Gone:
        port = "/dev/ttyACM0"
        timeout = None

        @property
        def in_waiting(self) -> int:
            raise OSError(5, "Input/output error")

        def read(self, size: int) -> bytes:
            return bytes(size)

        def write(self, data: bytes) -> None:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(line, "_serial", Gone())
    for call in (lambda: line.read(0.1), lambda: line.write(b"x")):
        with pytest.raises(FirmwareError, match=r"serial port /dev/ttyACM0: .*Input/output error"):
            call()


@pytest.mark.parametrize("call", [Debugger.registers, Debugger.go, Debugger.interrupt])
def test_an_emulator_that_ended_is_a_debugger_s_error(call):
    """A write to QEMU's socket was a BrokenPipeError, which names nothing."""
    mine, its = socket.socketpair()
    debugger = object.__new__(Debugger)  # without the conversation that begins one
    debugger._socket, debugger._received = mine, b""
    its.close()
    with pytest.raises(DebuggerError):
        call(debugger)
