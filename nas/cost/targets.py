# SPDX-License-Identifier: Apache-2.0
"""What a network must fit: memories and clock of a board, and what the firmware takes of them.

The figures of the boards are those of `boards`, which this package does not import (a test
compares them). The firmware's own SRAM is `converter.footprint`'s, which is what the linker says;
its code is measured: vit_t_240 on the emulated board takes 44,708 bytes of it.
"""

from __future__ import annotations

import dataclasses

from converter.footprint import STACK_RESERVED_BYTES, arena_bytes, static_bytes

KIB = 1024
CODE_BYTES = 45 * KIB


@dataclasses.dataclass(frozen=True)
class Firmware:
    """What decides the SRAM of the firmware around a network.

    Attributes:
      operators: of the fused network.
      row_bytes: of an image row, width * channels.
      streamed: the image arrives in rows.
    """

    operators: int
    row_bytes: int
    streamed: bool

    @property
    def static_bytes(self) -> int:
        """.data and .bss without the arena, as linked; streaming state included."""
        state = arena_bytes(0, self.streamed)
        return static_bytes(self.operators, self.row_bytes, self.streamed) + state


class BudgetError(ValueError):
    """A limit that cannot be met or makes no sense; the message says what could be met."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Limits in bytes, hertz and milliseconds; None where there is no limit.

    Attributes:
      sram_bytes: arena, streaming state, stack and static data together must fit.
      flash_bytes: internal flash: code, and the constants unless there is external flash.
      external_flash_bytes: memory-mapped flash for the constants; None where there is none.
      clock_hz: of the core, for the latency estimate.
      latency_ms: limit of the estimate.
    """

    name: str = "custom"
    sram_bytes: int | None = None
    flash_bytes: int | None = None
    external_flash_bytes: int | None = None
    clock_hz: int = 216_000_000
    latency_ms: float | None = None
    stack_bytes: int = STACK_RESERVED_BYTES
    code_bytes: int = CODE_BYTES

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and value is not None and value <= 0:
                raise BudgetError(f"Target.{field.name}: got {value}, expected a positive number")

    def overhead_bytes(self, firmware: Firmware) -> int:
        """SRAM beside the arena."""
        return self.stack_bytes + firmware.static_bytes

    def arena_bytes(self, firmware: Firmware) -> int | None:
        """What SRAM leaves for the arena, 0 if nothing; None without a limit."""
        if self.sram_bytes is None:
            return None
        return max(0, self.sram_bytes - self.overhead_bytes(firmware))

    @property
    def constant_bytes(self) -> int | None:
        """What flash leaves for the network's constants; None without a limit."""
        if self.external_flash_bytes is not None:
            return self.external_flash_bytes
        return None if self.flash_bytes is None else max(0, self.flash_bytes - self.code_bytes)


BOARDS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("stm32f746g_disco", 320 * KIB, 1024 * KIB, 16 * 1024 * KIB, 216_000_000),
        # On the H743 stack and static data lie in DTCM, beside these 512 KB: counting them is safe.
        Target("nucleo_h743zi2", 512 * KIB, 2048 * KIB, None, 480_000_000),
        Target("openmv_cam_m4", 256 * KIB, 1024 * KIB, None, 180_000_000),
    )
}


def get_board(name: str) -> Target:
    """The board of that name.

    Raises:
      BudgetError: there is none; the message lists those there are.
    """
    if name not in BOARDS:
        raise BudgetError(f"board {name!r} does not exist, expected one of {', '.join(BOARDS)}")
    return BOARDS[name]
