# SPDX-License-Identifier: Apache-2.0
"""What a firmware image says about its model."""

from __future__ import annotations

import dataclasses
import struct
from typing import ClassVar

from firmware.errors import FirmwareError
from firmware.protocol import PROTOCOL_VERSION


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What the image says about its model (firmware/src/app/model_info.h)."""

    protocol_version: int
    image_height: int
    image_width: int
    image_channels: int
    classes: int
    streamed: bool
    operators: int
    arena_bytes: int
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int

    FORMAT: ClassVar[str] = "<5I?3x2Ififi"

    @classmethod
    def from_bytes(cls, data: bytes) -> ModelInfo:
        """Reads the structure.

        Raises:
          FirmwareError: of another version of the protocol, or too short.
        """
        version = int.from_bytes(data[:4], "little")
        if version != PROTOCOL_VERSION or len(data) != struct.calcsize(cls.FORMAT):
            raise FirmwareError(
                f"the firmware speaks version {version} of the protocol in {len(data)} bytes, "
                f"expected {PROTOCOL_VERSION} in {struct.calcsize(cls.FORMAT)}: build it again "
                "with this version of the toolkit"
            )
        return cls(*struct.unpack(cls.FORMAT, data))

    @property
    def is_image(self) -> bool:
        """Whether the model takes an image; else `classes` are the bytes of all outputs."""
        return self.image_channels > 0

    def expect_image(self) -> None:
        """Raises FirmwareError unless the model takes an image."""
        if not self.is_image:
            raise FirmwareError(
                "the model takes no int8 image; run it with firmware.emulate --arrays, from "
                "Python with converter.runtimes.open_runtime, or, if its image or output is uint8 "
                "or float, fuse it with --int8_io; one of an image and a question answers "
                "--question with --model"
            )

    @property
    def input_bytes(self) -> int:
        """Bytes of all inputs."""
        return self.image_height * self.image_width * max(self.image_channels, 1)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of an image."""
        return self.image_width * self.image_channels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.image_height, self.image_width, self.image_channels
