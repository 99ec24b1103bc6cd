# SPDX-License-Identifier: Apache-2.0
"""`Session`: a booted board that classifies images, whichever emulator runs it."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from boards import Board
from converter.compile.interface import MAX_RANK
from firmware.elf import Elf, MemoryUse
from firmware.emulator.counts import FunctionCount, Inference, OperatorCount
from firmware.emulator.interface import BoardMachine, Marks
from firmware.errors import FirmwareError
from firmware.model_info import ModelInfo

_WINDOW_MAGIC = 0x57494E44
# Offsets in `Window`, firmware/src/app/window.h.
_MAGIC, _DESTINATION, _WANTED, _LOGITS, _LOGITS_BYTES, _RESULT_COUNT = range(0, 24, 4)
# VitModelTensor of vit_model.h: name, type, rank, shape, bytes, offset, scale, zero point.
_TENSOR_FORMAT = f"<Iii{MAX_RANK}iIIfi"
_TENSOR_BYTES, _TENSOR_OFFSET = 3 + MAX_RANK, 4 + MAX_RANK
DEFAULT_LIMIT = 200_000_000_000
_BOOT_LIMIT = 1_000_000_000  # a check of 16 MB of external flash takes a quarter


class Session:
    """A booted board.

    Attributes:
      board, elf: as given.
      banner: text that the firmware printed while it started.
      model: what the firmware says of its model.
      operator_names: as in the compiled model.
    """

    def __init__(self, board: Board, elf: Elf, machine: BoardMachine, limit: int) -> None:
        """Boots.

        Args:
          machine: the board with the ELF in it.
          limit: most instructions for one answer, against firmware that hangs.

        Raises:
          FirmwareError: the ELF is not of this toolkit.
          GuestFault: the firmware faulted; the message names address, pc and function.
        """
        self.board = board
        self.elf = elf
        self._machine = machine
        self._limit = limit
        self._idle = self.elf.address("console_idle")
        self._poll = self.elf.address("window_poll")
        self._window = self.elf.address("window")
        self._stack_top = self.elf.address("__stack_top")
        self._boot()
        self.model = ModelInfo.from_bytes(
            machine.read(self.elf.address("model_info"), struct.calcsize(ModelInfo.FORMAT))
        )
        self.operator_names = self._read_operator_names()
        machine.set_marks(
            Marks(
                start=self.elf.address("meter_start"),
                stop=self.elf.address("meter_stop"),
                operator=self.elf.address("meter_operator"),
                operators=len(self.operator_names),
                stack_bottom=self.elf.address("__stack_bottom"),
                stack_top=self._stack_top,
            )
        )

    def _boot(self) -> None:
        self._machine.run((self._idle,), _BOOT_LIMIT)
        #: Text that the firmware printed while it started.
        self.banner = self.console_read().decode(errors="replace")

    def _read_operator_names(self) -> tuple[str, ...]:
        size = self.elf.symbol_bytes("vit_model_op_names")
        table = self.elf.address("vit_model_op_names")
        return tuple(
            self._read_string(self._machine.read_u32(table + offset))
            for offset in range(0, size, 4)
        )

    def _read_string(self, address: int) -> str:
        text = bytearray()
        while (byte := self._machine.read(address + len(text), 1)) != b"\0":
            text += byte
        return text.decode()

    def reset(self) -> None:
        """Resets the core and the peripherals and boots again; RAM keeps its content."""
        self._machine.reset()
        self._boot()

    # The console.

    def console_write(self, data: bytes) -> None:
        """Sends bytes to the board's serial port and runs until it has consumed them."""
        self._machine.line.received.extend(data)
        self._machine.run((self._idle,), self._limit)

    def console_read(self) -> bytes:
        """Takes what the board sent since the last call."""
        sent = self._machine.line.sent
        data = bytes(sent)
        sent.clear()
        return data

    def last_line(self) -> str:
        """The last line of text that the firmware printed."""
        self.banner += self.console_read().decode(errors="replace")
        lines = self.banner.strip().splitlines()
        return lines[-1] if lines else "no text"

    # The memory window.

    def _window_field(self, offset: int) -> int:
        return self._machine.read_u32(self._window + offset)

    def open_window(self) -> None:
        """Makes the firmware take images through the memory window, and wait for the first.

        Raises:
          FirmwareError: it does not; the message has its last line of text.
        """
        if self._window_field(_MAGIC) != _WINDOW_MAGIC:
            self._machine.write_u32(self._window + _MAGIC, _WINDOW_MAGIC)
            if self._machine.run((self._poll, self._idle), self._limit) == self._idle:
                raise FirmwareError(f"the firmware takes no image: {self.last_line()}")

    def close_window(self) -> None:
        """Makes the firmware listen to the console again."""
        if self._window_field(_MAGIC) == _WINDOW_MAGIC:
            self._machine.write_u32(self._window + _MAGIC, 0)
            self._machine.run((self._idle,), self._limit)

    def classify(self, image: NDArray[np.int8]) -> Inference:
        """Classifies one int8 HWC image, given through the memory window.

        Args:
          image: int8[height, width, channels], already quantized with the model's input scale.

        Raises:
          FirmwareError: the image does not have the model's size.
          GuestFault: the firmware faulted.
        """
        if image.dtype != np.int8 or image.shape != self.model.image_shape:
            raise FirmwareError(
                f"image is {image.dtype}{list(image.shape)}, "
                f"expected int8{list(self.model.image_shape)}"
            )
        return self.infer(image.tobytes())

    def infer(self, data: bytes) -> Inference:
        """One inference of any model.

        Args:
          data: the bytes of all inputs, one after the other.

        Raises:
          FirmwareError: wrong number of bytes, or the model reported an error.
          GuestFault: the firmware faulted, or worked for longer than the limit.
        """
        expected = self.model.input_bytes
        if len(data) != expected:
            raise FirmwareError(f"inputs: got {len(data)} bytes, expected {expected}")
        self.open_window()
        self._machine.begin_inference()
        done = self._window_field(_RESULT_COUNT)
        position = 0
        while self._window_field(_RESULT_COUNT) == done:
            wanted = self._window_field(_WANTED)
            if not 0 < wanted <= expected - position:
                raise FirmwareError(
                    f"{self.elf.path}: the firmware asks for {wanted} bytes where "
                    f"{expected - position} are left: build it again with this version"
                )
            self._machine.write(
                self._window_field(_DESTINATION), data[position : position + wanted]
            )
            position += wanted
            self._machine.write_u32(self._window + _WANTED, 0)
            self._machine.run((self._poll,), self._limit)
        return self._inference()

    def _inference(self) -> Inference:
        if self._window_field(_LOGITS) == 0:
            raise FirmwareError(f"{self.elf.path}: the model reported an error")
        outputs = self._outputs()
        return Inference(
            logits=np.frombuffer(outputs[0], np.int8).copy(),
            instructions=self._machine.metered,
            operators=self.operator_counts(),
            outputs=outputs,
        )

    def _outputs(self) -> tuple[bytes, ...]:
        """The first output is where the window says, the others as far from it as in the table."""
        first, size = self._window_field(_LOGITS), self._window_field(_LOGITS_BYTES)
        if self.model.is_image:
            return (self._machine.read(first, size),)
        name = "vit_model_outputs"
        table = self._machine.read(self.elf.address(name), self.elf.symbol_bytes(name))
        rows = list(struct.iter_unpack(_TENSOR_FORMAT, table))
        arena = first - rows[0][_TENSOR_OFFSET]
        return tuple(
            self._machine.read(arena + row[_TENSOR_OFFSET], row[_TENSOR_BYTES]) for row in rows
        )

    # Measurements.

    def operator_counts(self) -> tuple[OperatorCount, ...]:
        """What each operator did in the last inference."""
        readings = map(self._machine.operator, range(len(self.operator_names)))
        return tuple(
            OperatorCount(name, reading.instructions, reading.calls, reading.stack_bytes)
            for name, reading in zip(self.operator_names, readings, strict=True)
        )

    def profile(self) -> tuple[FunctionCount, ...]:
        """Instructions per function; FirmwareError where the emulator does not see functions."""
        raise FirmwareError(f"{self.board.name}: no instructions per function in this emulator")

    def stack_high_water_bytes(self) -> int:
        """Most stack used since reset, in bytes."""
        return self._stack_top - self._machine.lowest_stack()

    def memory_use(self) -> MemoryUse:
        """Bytes of the image, from the ELF."""
        return self.elf.memory_use(self.board)

    def sram_total_bytes(self) -> int:
        """Arena, .data, .bss and the stack used so far."""
        return self.memory_use().sram_total_bytes(self.stack_high_water_bytes())
