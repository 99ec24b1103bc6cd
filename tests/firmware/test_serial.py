# SPDX-License-Identifier: Apache-2.0
"""Images over the emulated UART: framing, CRC, garbage, loss, and the board's refusals."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.connection import Connection, NoReplyError, RequestError
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.protocol import ESCAPE, FLAG, Decoder, ErrorCode, FrameType, encode
from firmware.transports import NoisyTransport
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel


@pytest.fixture(params=[False, True], ids=["resident", "streamed"])
def emulator(request, build_fake):
    built = build_fake(FakeModel(streamed=request.param))
    return Emulator(built.board, built.elf)


def test_info(emulator):
    info = Connection(EmulatedSerial(emulator)).info()
    assert info.name == "stm32f746g_disco"
    assert info.clock_hz == 216_000_000
    assert info.model == emulator.model
    assert info.model.image_shape == (8, 6, 3)
    assert info.model.input_scale == 0.0078125


def test_images_over_the_line_equal_the_window(emulator):
    connection = Connection(EmulatedSerial(emulator))
    for image in fake_model.images(3):
        result = connection.classify(image)
        np.testing.assert_array_equal(result.logits, fake_model.reference(image))
        assert result.best_class == int(np.argmax(result.logits))
        assert result.cycles > fake_model.LOOP_INSTRUCTIONS
        assert result.stack_high_water_bytes == emulator.stack_high_water_bytes()
    assert connection.repeated == 0
    assert "image 3: class" in connection.text()
    names = [op.name for op in connection.operators(3)]
    assert names == list(emulator.operator_names)
    assert connection.operators(3)[1].cycles > fake_model.LOOP_INSTRUCTIONS


def test_window_and_line_can_be_mixed(emulator):
    image = fake_model.images(1)[0]
    connection = Connection(EmulatedSerial(emulator))
    for _ in range(2):
        np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))
        emulator.close_window()
        np.testing.assert_array_equal(
            connection.classify(image).logits, fake_model.reference(image)
        )


def test_noise_never_changes_a_result(emulator):
    line = NoisyTransport(EmulatedSerial(emulator), seed=5, rate=0.004)
    connection = Connection(line)
    for image in fake_model.images(30):
        np.testing.assert_array_equal(
            connection.classify(image).logits, fake_model.reference(image)
        )
    assert line.damaged > 20
    assert connection.repeated > 10


def test_reset_in_the_middle_starts_the_image_again(emulator):
    class Resetting(EmulatedSerial):
        def __init__(self, emulator):
            super().__init__(emulator)
            self.writes = 0

        def write(self, data):
            self.writes += 1
            if self.writes == 6:
                emulator.reset()
            super().write(data)

    connection = Connection(Resetting(emulator))
    image = fake_model.images(1)[0]
    np.testing.assert_array_equal(connection.classify(image).logits, fake_model.reference(image))
    assert connection.restarted == 1


def test_silence_is_an_error():
    class Dead:
        def write(self, data):
            pass

        def read(self, timeout_s):
            return b""

    with pytest.raises(NoReplyError, match="no reply to INFO after 20 attempts"):
        Connection(Dead()).info()


@pytest.mark.parametrize(
    ("kind", "payload", "code"),
    [
        (FrameType.ROW, b"\0\0" + bytes(fake_model.ROW_BYTES), ErrorCode.NOT_BEGUN),
        (FrameType.ROW, b"\0\0\0", ErrorCode.BAD_LENGTH),
        (FrameType.FINISH, b"\1\0\0\0", ErrorCode.NOT_BEGUN),
        (FrameType.BEGIN, b"", ErrorCode.BAD_LENGTH),
        (FrameType.OPERATOR, b"\3\0", ErrorCode.BAD_INDEX),
    ],
)
def test_requests_that_make_no_sense_are_refused(emulator, kind, payload, code):
    with pytest.raises(RequestError) as caught:
        Connection(EmulatedSerial(emulator)).request(kind, payload)
    assert caught.value.code == code


def test_rows_out_of_order_and_incomplete_images_are_refused(emulator):
    connection = Connection(EmulatedSerial(emulator))
    row = bytes(fake_model.ROW_BYTES)
    connection.request(FrameType.BEGIN, struct.pack("<I", 9))
    assert connection.request(FrameType.ROW, struct.pack("<H", 0) + row) == b"\1\0"
    assert connection.request(FrameType.ROW, struct.pack("<H", 0) + row) == b"\1\0"  # A repetition.
    with pytest.raises(RequestError) as caught:
        connection.request(FrameType.ROW, struct.pack("<H", 2) + row)
    assert caught.value.code == ErrorCode.ROW_ORDER
    with pytest.raises(RequestError) as caught:
        connection.request(FrameType.FINISH, struct.pack("<I", 9))
    assert caught.value.code == ErrorCode.INCOMPLETE


@settings(max_examples=40, deadline=None)
@given(garbage=st.lists(st.binary(max_size=200), max_size=3), data=st.data())
def test_any_garbage_before_a_request_is_survived(build_fake, garbage, data):
    emulator = test_any_garbage_before_a_request_is_survived.__dict__.setdefault(
        "emulator", Emulator((built := build_fake(FakeModel())).board, built.elf)
    )
    for chunk in garbage:
        emulator.console_write(chunk)
    emulator.console_read()
    connection = Connection(EmulatedSerial(emulator), attempts=2)
    assert connection.info().name == "stm32f746g_disco"


@given(payload=st.binary(max_size=300), sequence=st.integers(0, 255))
def test_encode_and_decode_agree(payload, sequence):
    wire = encode(FrameType.ROW, sequence, payload)
    assert wire[0] == wire[-1] == FLAG
    assert FLAG not in wire[1:-1]
    decoder = Decoder()
    (frame,) = [f for byte in wire for f in decoder.feed(bytes((byte,)))]
    assert (frame.kind, frame.sequence, frame.payload) == (FrameType.ROW, sequence, payload)
    assert not decoder.text


@given(payload=st.binary(min_size=1, max_size=100), data=st.data())
def test_a_flipped_bit_never_passes(payload, data):
    wire = bytearray(encode(FrameType.ROW, 1, payload))
    index = data.draw(st.integers(1, len(wire) - 2))
    wire[index] ^= 1 << data.draw(st.integers(0, 7))
    for frame in Decoder().feed(bytes(wire)):
        assert frame.payload != payload or ESCAPE in wire
        pytest.fail("a damaged frame passed its CRC")
