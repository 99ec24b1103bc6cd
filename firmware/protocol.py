# SPDX-License-Identifier: Apache-2.0
"""The host's half of the serial protocol (firmware/src/app/frame.h and protocol.h)."""

from __future__ import annotations

import dataclasses
import enum
import zlib

PROTOCOL_VERSION = 1  # firmware/src/app/protocol.h
FLAG = 0x7E
ESCAPE = 0x7D
_ESCAPE_XOR = 0x20
_CRC_BYTES = 4
_HEADER_BYTES = 2
_REPLY = 0x80


class FrameType(enum.IntEnum):
    """Frame types; a reply is the request's type + 0x80."""

    INFO = 0x01
    BEGIN = 0x02
    ROW = 0x03
    FINISH = 0x04
    OPERATOR = 0x05
    TEXT = 0x06
    ERROR = 0x7F  # + 0x80 on the wire.


class ErrorCode(enum.IntEnum):
    """Why a request was refused."""

    UNKNOWN_TYPE = 1
    BAD_LENGTH = 2
    NOT_BEGUN = 3
    ROW_ORDER = 4
    INCOMPLETE = 5
    BAD_INDEX = 6
    MODEL = 7
    EXTERNAL_FLASH = 8


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame whose CRC was good. `kind` is without the reply bit."""

    kind: int
    is_reply: bool
    sequence: int
    payload: bytes


def encode(kind: FrameType, sequence: int, payload: bytes = b"") -> bytes:
    """A request frame with flags, escapes and CRC-32."""
    body = bytes((kind, sequence & 0xFF)) + payload
    body += zlib.crc32(body).to_bytes(_CRC_BYTES, "little")
    stuffed = bytearray((FLAG,))
    for byte in body:
        if byte in (FLAG, ESCAPE):
            stuffed += bytes((ESCAPE, byte ^ _ESCAPE_XOR))
        else:
            stuffed.append(byte)
    stuffed.append(FLAG)
    return bytes(stuffed)


class Decoder:
    """Splits what the board sends into frames and text.

    Text is whatever lies between two flags and is not a frame. A frame destroyed on the line looks
    the same; the request is then repeated, and the debris is only text that nobody reads.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self.text = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by `data`."""
        frames = []
        for byte in data:
            if byte != FLAG:
                self._pending.append(byte)
                continue
            frame = _parse(bytes(self._pending))
            if frame is not None:
                frames.append(frame)
            else:
                self.text += self._pending
            self._pending.clear()
        return frames


def _unstuff(stuffed: bytes) -> bytes | None:
    body = bytearray()
    escaped = False
    for byte in stuffed:
        if byte == ESCAPE:
            escaped = True
            continue
        body.append(byte ^ _ESCAPE_XOR if escaped else byte)
        escaped = False
    return None if escaped else bytes(body)


def _parse(stuffed: bytes) -> Frame | None:
    body = _unstuff(stuffed)
    if body is None or len(body) < _HEADER_BYTES + _CRC_BYTES:
        return None
    covered, crc = body[:-_CRC_BYTES], body[-_CRC_BYTES:]
    if zlib.crc32(covered) != int.from_bytes(crc, "little"):
        return None
    return Frame(covered[0] & ~_REPLY, bool(covered[0] & _REPLY), covered[1], covered[2:])
