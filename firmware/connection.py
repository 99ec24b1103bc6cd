# SPDX-License-Identifier: Apache-2.0
"""A conversation with a board: requests, repetition after loss, whole images.

Nothing is lost silently: a request without a reply is sent again, an image that the board forgot
(a reset) is started again, and when that does not help an error says so.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware.errors import FirmwareError
from firmware.model_info import ModelInfo
from firmware.protocol import Decoder, ErrorCode, Frame, FrameType, encode

_BEST_PLACES = 1 << 16  # that a reply can name
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
      timeout_s: how long to wait for a reply. FINISH waits `inference_timeout_s`.
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
        while data := self._transport.read(timeout_s):
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
                code, rows = struct.unpack("<BH", frame.payload)
                raise RequestError(kind, code, rows)
            if frame.kind == kind:
                return frame.payload
        raise NoReplyError(
            f"no reply to {kind.name} after {self._attempts} attempts; is the board running this "
            "firmware, and is the port right?"
        )

    def info(self) -> BoardInfo:
        """Asks the board what it runs."""
        payload = self.request(FrameType.INFO)
        size = struct.calcsize(ModelInfo.FORMAT)
        clock, stack = struct.unpack_from("<II", payload, size)
        return BoardInfo(
            ModelInfo.from_bytes(payload[:size]), clock, stack, payload[size + 8 :].decode()
        )

    def classify(self, image: NDArray[np.int8]) -> BoardResult:
        """Classifies an int8 HWC image.

        Raises:
          NoReplyError: the board is gone.
          RequestError: it refuses in a way that starting again does not cure.
        """
        self._image_number += 1
        for _ in range(self._attempts):
            try:
                return self._classify_once(np.ascontiguousarray(image))
            except RequestError as error:
                if error.code not in _RESTART_CODES:
                    raise
                self.restarted += 1
        raise NoReplyError(f"the board lost the image {self._attempts} times")

    def _classify_once(self, image: NDArray[np.int8]) -> BoardResult:
        number = struct.pack("<I", self._image_number)
        self.request(FrameType.BEGIN, number)
        row = 0
        while row < image.shape[0]:
            payload = struct.pack("<H", row) + image[row].tobytes()
            # The last row in streamed mode, and FINISH, run the model.
            (row,) = struct.unpack(
                "<H", self.request(FrameType.ROW, payload, self._inference_timeout_s)
            )
        reply = self.request(FrameType.FINISH, number, self._inference_timeout_s)
        image_number, best, cycles, stack = struct.unpack_from("<IHQI", reply)
        if image_number != self._image_number:
            raise RequestError(FrameType.FINISH, ErrorCode.NOT_BEGUN, row)
        logits = np.frombuffer(reply, np.int8, offset=struct.calcsize("<IHQI")).copy()
        if logits.size > _BEST_PLACES:  # the board's 16 bits hold a part of the place alone
            best = int(np.argmax(logits))
        return BoardResult(best, logits, cycles, stack)

    def operators(self, count: int) -> tuple[OperatorCycles, ...]:
        """Cycles per operator of the last inference."""
        rows = []
        for index in range(count):
            reply = self.request(FrameType.OPERATOR, struct.pack("<H", index))
            _, cycles = struct.unpack_from("<HQ", reply)
            rows.append(OperatorCycles(reply[10:].decode(), cycles))
        return tuple(rows)
