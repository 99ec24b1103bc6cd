# SPDX-License-Identifier: Apache-2.0
"""`Emulator`: classifies images on the emulated board and says what that cost."""

from __future__ import annotations

import ctypes
import dataclasses
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boards import Board
from boards.core import LineReplacement
from converter.compile.interface import MAX_RANK
from firmware.elf import Elf, MemoryUse
from firmware.emulator.counts import FunctionCount, Inference, OperatorCount, PlanViolation
from firmware.emulator.data_cache import DataCache
from firmware.emulator.machine import Machine
from firmware.emulator.quadspi import N25Q128A, FlashDevice
from firmware.errors import FirmwareError
from firmware.model_info import ModelInfo

STACK_PAINT = 0xA5A5A5A5
_WINDOW_MAGIC = 0x57494E44
# Offsets in `Window`, firmware/src/app/window.h.
_MAGIC, _DESTINATION, _WANTED, _LOGITS, _LOGITS_BYTES, _RESULT_COUNT = range(0, 24, 4)
# VitModelTensor of vit_model.h: name, type, rank, shape, bytes, offset, scale, zero point.
_TENSOR_FORMAT = f"<Iii{MAX_RANK}iIIfi"
_TENSOR_BYTES, _TENSOR_OFFSET = 3 + MAX_RANK, 4 + MAX_RANK
# VitDebugViolation, converter/compile/runtime/vit_model_debug.h.
_VIOLATIONS = ("", "wrote a byte that the plan says is dead", "changed a buffer still needed")
DEFAULT_LIMIT = 200_000_000_000


class Emulator:
    """A booted board.

    Args:
      board: the board; its memory map is exact.
      elf: an executable made by `firmware.build` or by an exported project.
      limit: most instructions for one image, against firmware that hangs.
      external_device: the flash part behind the QSPI controller.
      strict: also fault on unaligned LDM, LDRD and the like; far slower.

    Raises:
      FirmwareError: the ELF does not belong to this board.
      GuestFault: the firmware faulted; the message names address, pc and function.
    """

    def __init__(
        self,
        board: Board,
        elf: Path,
        *,
        limit: int = DEFAULT_LIMIT,
        external_device: FlashDevice = N25Q128A,
        strict: bool = False,
    ) -> None:
        self.board = board
        self.elf = Elf(elf)
        self.machine = Machine(board, self.elf, external_device, strict=strict)
        self._limit = limit
        self._idle = self.elf.address("console_idle")
        self._poll = self.elf.address("window_poll")
        self._window = self.elf.address("window")
        self._stack_top = self.elf.address("__stack_top")
        self._boot()
        self.model = ModelInfo.from_bytes(
            self.machine.read(self.elf.address("model_info"), struct.calcsize(ModelInfo.FORMAT))
        )
        self.operator_names = self._read_operator_names()
        self._prepare_counter()

    def _boot(self) -> None:
        self.machine.run((self._idle,), self._limit)
        #: Text that the firmware printed while it started.
        self.banner = self.console_read().decode(errors="replace")

    def _prepare_counter(self) -> None:
        counter = self.machine.counter
        counter.set_operators(len(self.operator_names))
        bottom = self.elf.address("__stack_bottom")
        host = self.machine.host_address(bottom)
        counter.set_marks(
            self.elf.address("meter_start"),
            self.elf.address("meter_stop"),
            self.elf.address("meter_operator"),
        )
        counter.set_stack(bottom, self._stack_top, STACK_PAINT, host)

    def _read_operator_names(self) -> tuple[str, ...]:
        size = self.elf.symbol_bytes("vit_model_op_names")
        table = self.elf.address("vit_model_op_names")
        return tuple(
            self._read_string(self.machine.read_u32(table + offset)) for offset in range(0, size, 4)
        )

    def _read_string(self, address: int) -> str:
        text = bytearray()
        while (byte := self.machine.read(address + len(text), 1)) != b"\0":
            text += byte
        return text.decode()

    def reset(self) -> None:
        """Resets the core and the peripherals and boots again; RAM keeps its content."""
        self.machine.reset()
        self._boot()

    # The console.

    def console_write(self, data: bytes) -> None:
        """Sends bytes to the board's serial port and runs until it has consumed them."""
        self.machine.chip.console.received.extend(data)
        self.machine.run((self._idle,), self._limit)

    def console_read(self) -> bytes:
        """Takes what the board sent since the last call."""
        sent = self.machine.chip.console.sent
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
        return self.machine.read_u32(self._window + offset)

    def open_window(self) -> None:
        """Makes the firmware take images through the memory window, and wait for the first.

        Raises:
          FirmwareError: it does not; the message has its last line of text.
        """
        if self._window_field(_MAGIC) != _WINDOW_MAGIC:
            self.machine.write_u32(self._window + _MAGIC, _WINDOW_MAGIC)
            if self.machine.run((self._poll, self._idle), self._limit) == self._idle:
                raise FirmwareError(f"the firmware takes no image: {self.last_line()}")

    def close_window(self) -> None:
        """Makes the firmware listen to the console again."""
        if self._window_field(_MAGIC) == _WINDOW_MAGIC:
            self.machine.write_u32(self._window + _MAGIC, 0)
            self.machine.run((self._idle,), self._limit)

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
          GuestFault: the firmware faulted.
        """
        expected = self.model.input_bytes
        if len(data) != expected:
            raise FirmwareError(f"inputs: got {len(data)} bytes, expected {expected}")
        self.open_window()
        counter = self.machine.counter
        counter.reset()
        done = self._window_field(_RESULT_COUNT)
        position = 0
        while self._window_field(_RESULT_COUNT) == done:
            wanted = self._window_field(_WANTED)
            self.machine.write(self._window_field(_DESTINATION), data[position : position + wanted])
            position += wanted
            self.machine.write_u32(self._window + _WANTED, 0)
            self.machine.run((self._poll,), self._limit)
        return self._inference()

    def _inference(self) -> Inference:
        if self._window_field(_LOGITS) == 0:
            raise FirmwareError(f"{self.elf.path}: the model reported an error")
        outputs = self._outputs()
        return Inference(
            logits=np.frombuffer(outputs[0], np.int8).copy(),
            instructions=int(self.machine.counter.head.metered),
            operators=self.operator_counts(),
            outputs=outputs,
        )

    def _outputs(self) -> tuple[bytes, ...]:
        """The first output is where the window says, the others as far from it as in the table."""
        first, size = self._window_field(_LOGITS), self._window_field(_LOGITS_BYTES)
        if self.model.is_image:
            return (self.machine.read(first, size),)
        name = "vit_model_outputs"
        table = self.machine.read(self.elf.address(name), self.elf.symbol_bytes(name))
        rows = list(struct.iter_unpack(_TENSOR_FORMAT, table))
        arena = first - rows[0][_TENSOR_OFFSET]
        return tuple(
            self.machine.read(arena + row[_TENSOR_OFFSET], row[_TENSOR_BYTES]) for row in rows
        )

    # The memory plan, in firmware built with debug=True.

    def set_poison(self, value: int) -> None:
        """What dead bytes are filled with from now on, 0..255; clears the report.

        Raises:
          FirmwareError: the firmware was not built with debug=True.
        """
        self.machine.write(self.elf.address("vit_model_debug_poison"), bytes((value,)))
        self.machine.write(self.elf.address("vit_model_debug_report"), bytes(12))

    def plan_violation(self) -> PlanViolation | None:
        """The first time since `set_poison` that an operator broke the memory plan, if any."""
        report = self.machine.read(self.elf.address("vit_model_debug_report"), 12)
        violation, operator, offset = struct.unpack("<iiI", report)
        if violation == 0:
            return None
        return PlanViolation(_VIOLATIONS[violation], self.operator_names[operator], offset)

    # Measurements.

    def watch_weights(self) -> NDArray[np.uint32]:
        """Counts from now on how often the model reads each byte of its constants.

        Returns:
          uint32[bytes of vit_model_weights]; it grows with every image. The emulation is slower
          from now on. Call it once.

        Raises:
          FirmwareError: no watching of accesses on this core.
        """
        name = "vit_model_weights"
        return self.machine.watch_reads(self.elf.address(name), self.elf.symbol_bytes(name))

    def watch_cache(self, replacement: LineReplacement | None = None) -> DataCache:
        """A model of the board's data cache, which sees every access from now on.

        Args:
          replacement: instead of the board's.

        Raises:
          FirmwareError: the core has no data cache, or no watching of accesses.
        """
        shape = self.board.core.data_cache
        if shape is None:
            raise FirmwareError(f"{self.board.name} has no data cache")
        shape = dataclasses.replace(shape, replacement=replacement or shape.replacement)
        cache = DataCache(shape, self.board.regions, len(self.operator_names))
        self.machine.watch_cache(cache)
        return cache

    def operator_counts(self) -> tuple[OperatorCount, ...]:
        """What each operator did in the last inference."""
        readings = map(self.machine.counter.operator, range(len(self.operator_names)))
        return tuple(
            OperatorCount(name, reading.instructions, reading.calls, reading.stack_bytes)
            for name, reading in zip(self.operator_names, readings, strict=True)
        )

    def profile(self) -> tuple[FunctionCount, ...]:
        """Instructions per function in all inferences so far, largest first."""
        totals: dict[str, int] = {}
        for block in self.machine.counter.profile():
            name = self.elf.describe(block.address).split("+")[0]
            totals[name] = totals.get(name, 0) + block.instructions * block.executions
        counts = [FunctionCount(name, count) for name, count in totals.items()]
        return tuple(sorted(counts, key=lambda entry: -entry.instructions))

    def stack_high_water_bytes(self) -> int:
        """Most stack used since reset, in bytes."""
        self.machine.counter.update_stack()
        return self._stack_top - int(self.machine.counter.head.lowest_stack)

    def memory_use(self) -> MemoryUse:
        """Bytes of the image, from the ELF."""
        return self.elf.memory_use(self.board)

    def sram_total_bytes(self) -> int:
        """Arena, .data, .bss and the stack used so far."""
        return self.memory_use().sram_total_bytes(self.stack_high_water_bytes())


assert ctypes.sizeof(ctypes.c_void_p) == 8, "the emulator needs a 64-bit host"
