# SPDX-License-Identifier: Apache-2.0
"""What a network must fit: memories and clock of a board, and what the firmware takes of them.

The figures of the boards are those of `firmware/boards`, which this package does not import (a test
compares them). The firmware's own part is measured: vit_t_240 on the emulated board takes 3,092
bytes of stack, 1,760 of static data and 44,708 of code beside the arena and the weights; stack and
static data are rounded up here to what the boards reserve.
"""

from __future__ import annotations

import dataclasses

from converter.compile.header import STREAM_STATE_BYTES

KIB = 1024
STACK_BYTES = 4096
STATIC_BYTES = 2048
CODE_BYTES = 45 * KIB


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
    stack_bytes: int = STACK_BYTES
    static_bytes: int = STATIC_BYTES
    code_bytes: int = CODE_BYTES

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and value is not None and value <= 0:
                raise BudgetError(f"Target.{field.name}: got {value}, expected a positive number")

    def overhead_bytes(self, streamed: bool) -> int:
        """SRAM beside the arena."""
        return self.stack_bytes + self.static_bytes + (STREAM_STATE_BYTES if streamed else 0)

    def arena_bytes(self, streamed: bool) -> int | None:
        """What SRAM leaves for the arena; None without a limit.

        Raises:
          BudgetError: nothing.
        """
        if self.sram_bytes is None:
            return None
        left = self.sram_bytes - self.overhead_bytes(streamed)
        if left <= 0:
            raise BudgetError(
                f"SRAM of {self.sram_bytes} bytes: got {left} bytes for the arena, expected more "
                f"than the firmware's {self.overhead_bytes(streamed)} (stack {self.stack_bytes}, "
                f"static data {self.static_bytes})"
            )
        return left

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
