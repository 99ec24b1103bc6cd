# SPDX-License-Identifier: Apache-2.0
"""A conversation with a board: requests, repetition after loss, whole images.

Nothing is lost silently: a request without a reply is sent again, an image that the board forgot
(a reset) is started again, and when that does not help an error says so.
"""

from __future__ import annotations

import dataclasses
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware.errors import FirmwareError
from firmware.model_info import ModelInfo
from firmware.protocol import Decoder, ErrorCode, Frame, FrameType, encode

_BEST_PLACES = 1 << 16  # that a reply can name
_MOST_WAITS = 3  # times a time-out, for a line that is never silent
_RESULT = "<IHQI"  # of FINISH, before the outputs
_RESTART_CODES = (ErrorCode.NOT_BEGUN, ErrorCode.ROW_ORDER, ErrorCode.INCOMPLETE)


class Transport(Protocol):
    """Bytes to and from a board."""

    def write(self, data: bytes) -> None:
        """Sends all of `data`."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; waits up to `timeout_s` for the first byte, b"" when none comes."""


class RequestError(FirmwareError):
    """The board refused a request."""

    def __init__(self, kind: FrameType, code: int, rows_received: int) -> None:
        known = code in ErrorCode.__members__.values()
        name = ErrorCode(code).name.lower() if known else str(code)
        super().__init__(f"board refused {kind.name}: {name} ({rows_received} rows received)")
        self.code = code


class NoReplyError(FirmwareError):
    """The board did not answer."""


def _fields(kind: FrameType, form: str, reply: bytes) -> tuple[Any, ...]:
    """The numbers that a reply begins with.

    Raises:
      FirmwareError: it is shorter: another protocol's.
    """
    size = struct.calcsize(form)
    if len(reply) < size:
        raise FirmwareError(
            f"the board's reply to {kind.name} has {len(reply)} bytes, expected {size} or more: "
            "build its firmware again with this version of the toolkit"
        )
    return struct.unpack_from(form, reply)


@dataclasses.dataclass(frozen=True)
class BoardInfo:
    """What the board said about itself."""

    model: ModelInfo
    clock_hz: int
    stack_reserved_bytes: int
    name: str


@dataclasses.dataclass(frozen=True)
class BoardResult:
    """One classified image: int8 logits, CPU cycles, stack high-water mark in bytes."""

    best_class: int
    logits: NDArray[np.int8]
    cycles: int
    stack_high_water_bytes: int


@dataclasses.dataclass(frozen=True)
class OperatorCycles:
    """CPU cycles of one operator in the last inference."""

    name: str
    cycles: int


class Connection:
    """Talks to one board.

    Args:
      transport: the line.
      timeout_s: silence after which a request is sent again; that of FINISH, and of rows that a
        model may work on, is `inference_timeout_s`. A line that is never silent is given up after
        a few times as long.
      attempts: how often a request is sent, and an image started, before giving up.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        timeout_s: float = 1.0,
        inference_timeout_s: float = 60.0,
        attempts: int = 20,
    ) -> None:
        self._transport = transport
        self._timeout_s = timeout_s
        self._inference_timeout_s = inference_timeout_s
        self._attempts = attempts
        self._sequence = 0
        self._image_number = 0
        self._rows_work = True  # until the board says that its model is not streamed
        self._decoder = Decoder()
        #: Requests that had to be repeated so far.
        self.repeated = 0
        #: Images that had to be started again so far.
        self.restarted = 0

    def text(self) -> str:
        """What the board printed since the last call."""
        text = self._decoder.text.decode(errors="replace")
        self._decoder.text.clear()
        return text

    def _await(self, sequence: int, timeout_s: float) -> Frame | None:
        end = time.monotonic() + _MOST_WAITS * timeout_s
        while time.monotonic() < end and (data := self._transport.read(timeout_s)):
            for frame in self._decoder.feed(data):
                if frame.is_reply and frame.sequence == sequence:
                    return frame
        return None

    def request(
        self, kind: FrameType, payload: bytes = b"", timeout_s: float | None = None
    ) -> bytes:
        """Sends a request until its reply arrives; returns the reply's payload.

        Raises:
          RequestError: the board refused.
          NoReplyError: no reply after all attempts.
        """
        self._sequence = (self._sequence + 1) & 0xFF
        wire = encode(kind, self._sequence, payload)
        for attempt in range(self._attempts):
            if attempt:
                self.repeated += 1
            self._transport.write(wire)
            frame = self._await(self._sequence, timeout_s or self._timeout_s)
            if frame is None:
                continue
            if frame.kind == FrameType.ERROR:
                code, rows = _fields(kind, "<BH", frame.payload)
                raise RequestError(kind, code, rows)
            if frame.kind == kind:
                return frame.payload
        raise NoReplyError(
            f"no reply to {kind.name} after {self._attempts} attempts; is the board running this "
            "firmware, and is the port right?"
        )

    def info(self) -> BoardInfo:
        """Asks the board what it runs.

        Raises:
          FirmwareError: it speaks another version of the protocol; or see `request`.
        """
        payload = self.request(FrameType.INFO)
        size = struct.calcsize(ModelInfo.FORMAT)
        model = ModelInfo.from_bytes(payload[:size])
        clock, stack = _fields(FrameType.INFO, "<II", payload[size:])
        self._rows_work = model.streamed
        return BoardInfo(model, clock, stack, payload[size + 8 :].decode(errors="replace"))

    def classify(self, image: NDArray[np.int8]) -> BoardResult:
        """Classifies an int8 HWC image.

        Raises:
          NoReplyError: the board is gone.
          RequestError: it refuses in a way that starting again does not cure.
        """
        rows = np.ascontiguousarray(image)
        return self._classify(lambda: self._send_rows(rows))

    def classify_text(self, text: bytes, row_bytes: int) -> BoardResult:
        """Classifies a text that the board cuts into sub-words.

        Args:
          row_bytes: of the board's model, the most that it takes at once.

        Raises:
          NoReplyError, RequestError: as `classify`; a text that is longer than the board has room
            for is refused with BAD_LENGTH.
        """
        return self._classify(lambda: self._send_text(text, row_bytes))

    def _classify(self, send: Callable[[], None]) -> BoardResult:
        self._image_number += 1
        for _ in range(self._attempts):
            try:
                return self._classify_once(send)
            except RequestError as error:
                if error.code not in _RESTART_CODES:
                    raise
                self.restarted += 1
        raise NoReplyError(f"the board lost the image {self._attempts} times")

    def _classify_once(self, send: Callable[[], None]) -> BoardResult:
        number = struct.pack("<I", self._image_number)
        self.request(FrameType.BEGIN, number)
        send()
        reply = self.request(FrameType.FINISH, number, self._inference_timeout_s)
        image_number, best, cycles, stack = _fields(FrameType.FINISH, _RESULT, reply)
        if image_number != self._image_number:
            raise RequestError(FrameType.FINISH, ErrorCode.NOT_BEGUN, 0)
        logits = np.frombuffer(reply, np.int8, offset=struct.calcsize(_RESULT)).copy()
        if logits.size > _BEST_PLACES:  # the board's 16 bits hold a part of the place alone
            best = int(np.argmax(logits))
        if best >= logits.size:
            raise FirmwareError(f"the board named output {best} of {logits.size}: its reply is odd")
        return BoardResult(best, logits, cycles, stack)

    def _send_rows(self, image: NDArray[np.int8]) -> None:
        # A streamed model works when rows complete its patches; a resident one only keeps them.
        timeout_s = self._inference_timeout_s if self._rows_work else self._timeout_s
        row = 0
        while row < image.shape[0]:
            payload = struct.pack("<H", row) + image[row].tobytes()
            reply = self.request(FrameType.ROW, payload, timeout_s)
            (received,) = _fields(FrameType.ROW, "<H", reply)
            if received <= row:  # it would be sent for ever
                raise RequestError(FrameType.ROW, ErrorCode.ROW_ORDER, received)
            row = received

    def _send_text(self, text: bytes, row_bytes: int) -> None:
        for at in (*range(0, len(text), row_bytes), len(text)):
            payload = struct.pack("<H", at) + text[at : at + row_bytes]
            self.request(FrameType.TEXT, payload, self._timeout_s)

    def operators(self, count: int) -> tuple[OperatorCycles, ...]:
        """Cycles per operator of the last inference."""
        rows = []
        for index in range(count):
            reply = self.request(FrameType.OPERATOR, struct.pack("<H", index))
            _, cycles = _fields(FrameType.OPERATOR, "<HQ", reply)
            rows.append(OperatorCycles(reply[10:].decode(errors="replace"), cycles))
        return tuple(rows)
