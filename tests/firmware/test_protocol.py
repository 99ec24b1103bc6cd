# SPDX-License-Identifier: Apache-2.0
"""The board's half of the protocol on this machine, at its boundaries: rows, images, escapes."""

from __future__ import annotations

import ctypes
import struct
import subprocess
from pathlib import Path

import pytest

from firmware.protocol import Decoder, ErrorCode, Frame, FrameType, encode
from toolchain.compilers import host_c

SOURCES = Path(__file__).resolve().parents[2] / "firmware" / "src"
ROWS, ROW_BYTES, OPERATORS, OUTPUT = 3, 4, 2, bytes((1, 9, 2))
_MODEL = f"""
#define VIT_MODEL_IS_IMAGE 1
#define VIT_MODEL_ROW_COUNT {ROWS}
#define VIT_MODEL_ROW_BYTES {ROW_BYTES}
#define VIT_MODEL_OP_COUNT {OPERATORS}
#define VIT_MODEL_OUTPUT_BYTES {len(OUTPUT)}
extern const char* const vit_model_op_names[VIT_MODEL_OP_COUNT];
"""
_BOARD = """
#define BOARD_CLOCK_SYSTEM_HZ 1000u
#define BOARD_NAME "host"
"""


class Board:
    """The protocol's sources as a library; a new one starts as after a reset."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._sequence = 0

    def write(self, data: bytes) -> list[Frame]:
        """Bytes on the line; the frames that come back."""
        out = ctypes.create_string_buffer(1 << 16)
        count = self._library.harness_exchange(data, len(data), out, len(out))
        decoder = Decoder()
        return decoder.feed(out.raw[:count])

    def ask(self, kind: FrameType, payload: bytes = b"") -> Frame:
        """The one reply to a request."""
        self._sequence = self._sequence + 1 & 0xFF
        (reply,) = self.write(encode(kind, self._sequence, payload))
        assert reply.sequence == self._sequence
        return reply

    def begin(self, image: int) -> None:
        assert self.ask(FrameType.BEGIN, struct.pack("<I", image)).payload == struct.pack(
            "<I", image
        )

    def row(self, number: int) -> Frame:
        return self.ask(FrameType.ROW, struct.pack("<H", number) + bytes(ROW_BYTES))

    def fail(self, what: int) -> None:
        """From now on the classifier fails to begin (1), to take a row (2), to finish (4)."""
        self._library.harness_fail(what)

    def refuse_images(self) -> None:
        self._library.protocol_refuse_images()

    def pushes(self) -> int:
        return int(self._library.harness_pushes())

    def finishes(self) -> int:
        return int(self._library.harness_finishes())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("protocol")
    (folder / "vit_model.h").write_text(_MODEL)
    (folder / "board_config.h").write_text(_BOARD)
    harness = Path(__file__).with_name("protocol_harness.c")
    sources = [harness, SOURCES / "app" / "protocol.c", SOURCES / "app" / "frame.c"]
    made = folder / "protocol.so"
    command = [host_c().path, "-std=c11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    command += [f"-I{folder}", f"-I{SOURCES}", *map(str, sources), "-o", str(made)]
    subprocess.run(command, check=True)
    return made


@pytest.fixture
def board(library: Path, tmp_path: Path) -> Board:
    copy = tmp_path / "protocol.so"  # another file is another library: statics as after a reset
    copy.write_bytes(library.read_bytes())
    return Board(ctypes.CDLL(str(copy)))


def error(reply: Frame, code: ErrorCode, rows: int) -> bool:
    """Whether a reply is that error, with the number of rows that the board has."""
    return reply.kind == FrameType.ERROR and reply.payload == bytes((code,)) + struct.pack(
        "<H", rows
    )


def test_rows_in_order_once_and_none_behind_the_last(board: Board) -> None:
    assert error(board.row(0), ErrorCode.NOT_BEGUN, 0)
    board.begin(5)
    assert error(board.row(1), ErrorCode.ROW_ORDER, 0)
    for number in range(ROWS):
        assert board.row(number).payload == struct.pack("<H", number + 1)
        assert board.row(number).payload == struct.pack("<H", number + 1)  # a lost reply
    assert board.pushes() == ROWS
    for beyond in (ROWS, ROWS + 1, 0xFFFF):
        assert error(board.row(beyond), ErrorCode.ROW_ORDER, ROWS)
    assert board.pushes() == ROWS  # nothing is written behind the image


def test_lengths_are_exact(board: Board) -> None:
    board.begin(1)
    for reply in (
        board.ask(FrameType.ROW, bytes(ROW_BYTES + 1)),
        board.ask(FrameType.BEGIN, bytes(3)),
        board.ask(FrameType.FINISH, bytes(5)),
        board.ask(FrameType.OPERATOR, bytes(1)),
    ):
        assert error(reply, ErrorCode.BAD_LENGTH, 0)
    # A request that is longer than any is dropped with its frame. The last byte of its CRC is not
    # kept: whichever byte lies behind the buffer, some of these would match it.
    for number in range(1 << 11):
        payload = struct.pack("<I", number) + bytes(ROW_BYTES - 1)
        assert len(payload) == 2 + ROW_BYTES + 1
        assert board.write(encode(FrameType.ROW, 9, payload)) == []
    assert board.pushes() == 0


def test_finish_belongs_to_the_image_that_was_begun(board: Board) -> None:
    finish = struct.pack("<I", 5)
    assert error(board.ask(FrameType.FINISH, finish), ErrorCode.NOT_BEGUN, 0)
    board.begin(5)
    board.row(0)
    assert error(board.ask(FrameType.FINISH, finish), ErrorCode.INCOMPLETE, 1)
    for number in range(1, ROWS):
        board.row(number)
    for other in (4, 6, 5 + (1 << 8), 5 + (1 << 31)):
        reply = board.ask(FrameType.FINISH, struct.pack("<I", other))
        assert error(reply, ErrorCode.NOT_BEGUN, ROWS)
    assert board.finishes() == 0
    first, again = (board.ask(FrameType.FINISH, finish) for _ in range(2))
    assert first.payload == again.payload == struct.pack("<IHQI", 5, 1, 7, 11) + OUTPUT
    assert board.finishes() == 1  # the model consumed its input


def test_operators_are_bounded(board: Board) -> None:
    reply = board.ask(FrameType.OPERATOR, struct.pack("<H", OPERATORS - 1))
    assert reply.payload == struct.pack("<HQ", 1, 101) + b"second"
    for beyond in (OPERATORS, 0xFFFF):
        assert error(
            board.ask(FrameType.OPERATOR, struct.pack("<H", beyond)), ErrorCode.BAD_INDEX, 0
        )


def test_a_frame_that_ends_in_an_escape_is_none(board: Board) -> None:
    """The CRC is right: only the escape before the flag says that the frame was cut."""
    whole = encode(FrameType.INFO, 1)
    (reply,) = board.write(whole)
    assert reply.kind == FrameType.INFO
    assert board.write(whole[:-1] + bytes((0x7D,)) + whole[-1:]) == []
    (reply,) = board.write(whole)  # and the next one is whole again
    assert reply.kind == FrameType.INFO


def test_damaged_and_endless_frames_are_dropped(board: Board) -> None:
    whole = bytearray(encode(FrameType.INFO, 1))
    for place in range(1, len(whole) - 1):
        damaged = bytes(whole[:place]) + bytes((whole[place] ^ 1,)) + bytes(whole[place + 1 :])
        assert board.write(damaged) == []
    assert board.write(bytes((0x7E,)) + bytes(1 << 12) + bytes((0x7E,))) == []
    assert board.write(bytes((0x7E, 0x7E, 0x7E))) == []
    assert board.ask(FrameType.INFO).kind == FrameType.INFO


def test_a_model_that_fails_ends_the_image(board: Board) -> None:
    number, rows = struct.pack("<I", 1), 0
    for what in (1, 2, 4):
        board.fail(what if what == 1 else 0)
        reply = board.ask(FrameType.BEGIN, number)
        if what > 1:
            board.fail(what if what == 2 else 0)
            reply = board.row(0)
        if what > 2:
            for row in range(1, ROWS):
                assert board.row(row).payload == struct.pack("<H", row + 1)
            board.fail(what)
            reply, rows = board.ask(FrameType.FINISH, number), ROWS
        assert error(reply, ErrorCode.MODEL, rows)
        board.fail(0)  # what comes behind belongs to no image, although the model would work
        assert error(board.row(0), ErrorCode.NOT_BEGUN, rows)
        assert error(board.ask(FrameType.FINISH, number), ErrorCode.NOT_BEGUN, rows)
    board.begin(1)
    assert board.row(0).payload == struct.pack("<H", 1)


def test_without_weights_images_are_refused_and_the_rest_works(board: Board) -> None:
    board.refuse_images()
    refused = board.ask(FrameType.BEGIN, struct.pack("<I", 1))
    assert error(refused, ErrorCode.EXTERNAL_FLASH, 0)
    assert error(board.row(0), ErrorCode.NOT_BEGUN, 0)
    assert board.ask(FrameType.INFO).payload.endswith(b"host")
    assert board.ask(FrameType.OPERATOR, bytes(2)).payload.endswith(b"first")


def test_unknown_types_are_named_errors(board: Board) -> None:
    known = {kind.value for kind in FrameType}
    for kind in (0, 7, 0x7D, 0x7E, 0x80, 0xFE):
        assert kind not in known
        (reply,) = board.write(encode(kind, 3))
        assert reply.sequence == 3
        assert error(reply, ErrorCode.UNKNOWN_TYPE, 0)
