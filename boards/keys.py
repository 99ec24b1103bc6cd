# SPDX-License-Identifier: Apache-2.0
"""The keys of a board's file, with what docs/boards.md says of each."""

from __future__ import annotations

import dataclasses

from boards.console import DEFAULT_BAUD
from boards.core import CPU_OF
from boards.stm32 import FAMILIES

DEFAULT_STACK_BYTES = 4096
# The emulator's pages; parts whose memories are no multiple of it exist, and can leave the rest.
PAGE_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of the file, what its value is, and its default in words; empty when it is needed."""

    name: str
    meaning: str
    default: str = ""


KEYS = (
    Key("name", "letters, digits, `_` and `-`", "the file's name"),
    Key("title", "what the banner prints", "`name`"),
    Key("part", "part number of the microcontroller", "`cube_ide_mcu`, else `cpu`"),
    Key("manual", "its reference manual", "the file's name"),
    Key("notes", "list of sentences: where the figures come from", "none"),
    Key("cpu", ", ".join(f"`{name}`" for name in CPU_OF)),
    Key("fpu", "`none`, `single` (M4, M7, M33) or `double` (M7, M55)", "`none`"),
    Key("instruction_cache_bytes", "M7: size of the cache that is switched on", "0"),
    Key("data_cache_bytes", "M7: size of the cache that is switched on", "0"),
    Key(
        "mpu",
        "M3, M4, M7: the part has the optional MPU (8 regions; or their number), which then guards "
        "the stack",
        "`false`",
    ),
    Key("clock_hz", "the CPU clock when the firmware starts; nothing sets it up", "see `clock`"),
    Key("regions", "a list, see below"),
    Key(
        "place",
        "regions of `code`, `arena`, `data` and `stack`, by name; and `small_arena`, a faster "
        "region for an arena that it holds with 8 KB to spare",
        "code: the first flash region; `small_arena`: none; the others: the largest `sram` or "
        "`tcm` region",
    ),
    Key("stack_bytes", "multiple of 32", f"{DEFAULT_STACK_BYTES}"),
    Key("console", "`semihosting` or `functions`; with `family` an object", "`semihosting`"),
    Key("baud", "for your functions and for Mbed", f"{DEFAULT_BAUD}"),
    Key("sources", "C files, relative to this one, with functions of `board_hooks.h`", "none"),
    Key(
        "openocd",
        "OpenOCD configuration, e.g. `board/st_nucleo_f4.cfg`, or a list of them",
        "no flash target",
    ),
    Key("cube_ide_mcu", "STM32CubeIDE's name of the part", "no `--format=stm32cubeide`"),
    Key("cube_ide_board", "STM32CubeIDE's name of the board", "`genericBoard`"),
    Key("mbed_target", "Mbed's name of the board", "no `--format=mbed`"),
    Key("qemu", "QEMU's machine with these memories, e.g. `mps2-an386`", "not run in QEMU"),
    Key("external_loader", "STM32CubeProgrammer's loader of the external flash", "none"),
    Key(
        "family",
        ", ".join(f"`{family.family}`" for family in FAMILIES)
        + ": the firmware has drivers, sets the clock and drives the console",
        "no register but the core's is touched",
    ),
    Key("clock", "with `family`, instead of `clock_hz`: the main PLL, an object", "`clock_hz`"),
    Key("quad_spi", "with `family`: pins and clock of the QSPI flash, an object", "none"),
)
REGION_KEYS = (
    Key("name", "capital letters, digits and `_`"),
    Key("origin", "first address"),
    Key("length", f"bytes; origin and length are multiples of {PAGE_BYTES}"),
    Key("kind", "`flash`, `external` (memory-mapped flash), `sram`, `tcm` (not cached) or `itcm`"),
    Key("wait_states", "of a 32-bit read", "0"),
    Key(
        "read_megabytes_per_second",
        "sequential read speed, instead of `wait_states`",
        "4 bytes every `wait_states` + 1 cycles",
    ),
    Key(
        "seek_nanoseconds",
        "what a read that does not follow the last one takes on top; with `quad_spi` its clock "
        "gives it",
        "0",
    ),
    Key(
        "tightly_coupled_bytes",
        "`sram`: so many of its first bytes are tightly coupled memory, at core speed and not "
        f"cached; a multiple of {PAGE_BYTES}",
        "0",
    ),
    Key("aliases", "other addresses of the same bytes", "none"),
    Key("usable", "`false`: the firmware puts nothing there", "`true`"),
    Key("source", "where the figures come from", "the file's name"),
)
CLOCK_KEYS = (
    Key("source_hz", "crystal or clock input"),
    Key("source_bypass", "`true`: a clock, `false`: a crystal", "`false`"),
    Key("pll_m", "divides the source"),
    Key("pll_n", "multiplies"),
    Key("pll_p", "divides for the core"),
    Key("pll_q", "divides for USB and others"),
    Key("ahb_divider", "core clock to AHB", "1"),
    Key("apb1_divider", "AHB to APB1"),
    Key("apb2_divider", "AHB to APB2"),
    Key("flash_wait_states", "of the code region at that clock"),
    Key("flash_control", "bits of FLASH_ACR beside the wait states", "0"),
    Key("over_drive_above_hz", "STM32F4 and F7: where the over-drive mode is needed", "0: never"),
)
CONSOLE_KEYS = (
    Key("name", "the peripheral, e.g. `USART1`"),
    Key("base", "its address"),
    Key("clock_enable_offset", "offset in RCC of the register with its clock enable bit"),
    Key("clock_enable_bit", "that bit"),
    Key("bus", "`apb1` or `apb2`"),
    Key("transmit", "pin and alternate function, e.g. `PA9:7`"),
    Key("receive", "the same"),
)
QUAD_SPI_KEYS = (
    Key("base", "address of QUADSPI"),
    Key("clock_enable_offset", "offset in RCC of the register with its clock enable bit"),
    Key("clock_enable_bit", "that bit"),
    Key("prescaler", "clock = AHB / (prescaler + 1); gives the read speed of the region, 4 bits"),
    Key("pins", "list: CLK, NCS, IO0 to IO3, as `PB2:9`"),
)
