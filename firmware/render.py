# SPDX-License-Identifier: Apache-2.0
"""Board data -> `board_config.h` and the linker script."""

from __future__ import annotations

import zlib

from boards import Board, Region, RegionKind, placement
from boards.clock import Clock, FixedClock
from boards.console import Console, Pin, PortableConsole
from boards.core import CycleCounter
from boards.stm32 import QuadSpi, Stm32
from firmware.escape import c_comment, c_string, linker_word
from firmware.template import render

_LICENSE = "SPDX-License-Identifier: Apache-2.0"

_EXTFLASH = """\
  /* Weights in the memory-mapped external flash. */
  .extflash : ALIGN(16)
  {
    __extflash_start = .;
    KEEP(*(.extflash .extflash.*))
    __extflash_end = .;
  } > %s
"""

_ATTRIBUTES = {
    RegionKind.FLASH: "rx",
    RegionKind.EXTERNAL_FLASH: "r",
    RegionKind.RAM: "rw",
    RegionKind.TCM: "rw",
    RegionKind.ITCM: "rwx",
}


def _region_line(region: Region) -> str:
    attributes = _ATTRIBUTES[region.kind]
    return (
        f"  {linker_word(region.name)} ({attributes}) : ORIGIN = {region.base:#010x}, "
        f"LENGTH = {region.size_bytes}"
    )


def linker_script(board: Board, stack_bytes: int | None = None) -> str:
    """The linker script of `board`; `stack_bytes` overrides the board's stack reservation."""
    external = board.external_flash()
    itcm = next((r.name for r in board.regions if r.kind is RegionKind.ITCM), board.code_region)
    return render(
        "linker.ld",
        TITLE=c_comment(board.title),
        PART=c_comment(board.part),
        MANUAL=c_comment(board.manual),
        REGIONS="\n".join(_region_line(region) for region in board.regions),
        CODE=board.code_region,
        EXTFLASH=_EXTFLASH % external.name if external else "",
        ITCM=itcm,
        STACK_BYTES=str(stack_bytes if stack_bytes is not None else board.stack_bytes),
        STACK=board.stack_region,
        STACK_ALIGNMENT=str(placement.STACK_ALIGNMENT),
        DATA=board.data_region,
        DATA_ALIGNMENT=str(placement.DATA_ALIGNMENT),
        ARENA=board.arena_region,
        ARENA_ALIGNMENT=str(placement.ARENA_ALIGNMENT),
    )


def _define(name: str, value: int | str, comment: str = "") -> str:
    if isinstance(value, str):
        rendered = c_string(value)
    elif value > 0xFFFF:
        rendered = f"{value:#x}u" if value >= 0x1000_0000 else f"{value}u"
    else:
        rendered = f"{value}u"
    return f"#define {name} {rendered}" + (f"  // {c_comment(comment)}" if comment else "")


def _pin_defines(prefix: str, pin: Pin) -> list[str]:
    return [
        _define(f"{prefix}_PORT", ord(pin.port) - ord("A"), f"P{pin.port}{pin.number}"),
        _define(f"{prefix}_PIN", pin.number),
        _define(f"{prefix}_ALTERNATE", pin.alternate),
    ]


def _clock_defines(clock: Clock | FixedClock) -> list[str]:
    if isinstance(clock, FixedClock):
        return [_define("BOARD_CLOCK_SYSTEM_HZ", clock.system_hz)]
    return [
        _define("BOARD_CLOCK_SOURCE_HZ", clock.source_hz),
        _define("BOARD_CLOCK_SOURCE_BYPASS", int(clock.source_bypass)),
        _define("BOARD_CLOCK_PLL_M", clock.pll_m),
        _define("BOARD_CLOCK_PLL_N", clock.pll_n),
        _define("BOARD_CLOCK_PLL_P", clock.pll_p),
        _define("BOARD_CLOCK_PLL_Q", clock.pll_q),
        _define("BOARD_CLOCK_AHB_DIVIDER", clock.ahb_divider),
        _define("BOARD_CLOCK_APB1_DIVIDER", clock.apb1_divider),
        _define("BOARD_CLOCK_APB2_DIVIDER", clock.apb2_divider),
        _define("BOARD_CLOCK_FLASH_WAIT_STATES", clock.flash_wait_states),
        _define("BOARD_CLOCK_FLASH_CONTROL", clock.flash_control),
        _define("BOARD_CLOCK_OVER_DRIVE_ABOVE_HZ", clock.over_drive_above_hz),
        _define("BOARD_CLOCK_SYSTEM_HZ", clock.system_hz),
    ]


def _console_defines(console: Console | PortableConsole, stm32: Stm32 | None) -> list[str]:
    if stm32 is None or isinstance(console, PortableConsole):
        return [_define("BOARD_CONSOLE_BAUD", console.baud)]
    return [
        _define("BOARD_CONSOLE_BASE", console.base, console.name),
        _define("BOARD_CONSOLE_CLOCK_ENABLE", stm32.rcc_base + console.clock_enable_offset),
        _define("BOARD_CONSOLE_CLOCK_ENABLE_BIT", console.clock_enable_bit),
        _define("BOARD_CONSOLE_CLOCK_HZ", console.clock_hz),
        _define("BOARD_CONSOLE_BAUD", console.baud),
        *_pin_defines("BOARD_CONSOLE_TX", console.transmit),
        *_pin_defines("BOARD_CONSOLE_RX", console.receive),
    ]


def _quad_spi_defines(
    quad_spi: QuadSpi | None, stm32: Stm32 | None, external: Region | None
) -> list[str]:
    if quad_spi is None or stm32 is None or external is None:
        return [_define("BOARD_HAS_QUADSPI", 0)]
    lines = [
        _define("BOARD_HAS_QUADSPI", 1),
        _define("BOARD_EXTERNAL_FLASH_BASE", external.base),
        _define("BOARD_QUADSPI_BASE", quad_spi.base),
        _define("BOARD_QUADSPI_CLOCK_ENABLE", stm32.rcc_base + quad_spi.clock_enable_offset),
        _define("BOARD_QUADSPI_CLOCK_ENABLE_BIT", quad_spi.clock_enable_bit),
        _define("BOARD_QUADSPI_PRESCALER", quad_spi.prescaler),
        _define("BOARD_QUADSPI_SIZE_LOG2", quad_spi.size_log2),
        "// CLK, NCS, IO0 .. IO3: {port, pin, alternate function}.",
    ]
    pins = ", ".join(
        f"{{{ord(p.port) - ord('A')}, {p.number}, {p.alternate}}}" for p in quad_spi.pins
    )
    lines.append(f"#define BOARD_QUADSPI_PINS {{{pins}}}")
    return lines


def _stm32_defines(stm32: Stm32 | None) -> list[str]:
    if stm32 is None:
        return []
    return [
        _define("BOARD_GPIO_BASE", stm32.gpio_base),
        _define("BOARD_RCC_GPIO_ENABLE", stm32.rcc_base + stm32.rcc_gpio_enable_offset),
        "",
    ]


def board_header(board: Board) -> str:
    """`board_config.h`: the board's data as macros."""
    core = board.core
    systick = core.cycle_counter is CycleCounter.SYSTICK
    described = c_comment(f"{board.title} ({board.part}, {board.manual})")
    lines = [
        f"// {_LICENSE}",
        f"// {described}: generated from the board's data.",
        "#ifndef BOARD_CONFIG_H_",
        "#define BOARD_CONFIG_H_",
        "",
        _define("BOARD_NAME", board.name),
        _define("BOARD_TITLE", board.title),
        "",
        _define("BOARD_INSTRUCTION_CACHE_BYTES", core.instruction_cache_bytes),
        _define("BOARD_DATA_CACHE_BYTES", core.data_cache_bytes),
        _define("BOARD_DWT_HAS_LOCK", int(core.name == "cortex-m7")),
        _define("BOARD_CYCLE_COUNTER_SYSTICK", int(systick)),
        _define("BOARD_MPU_REGIONS", core.mpu_regions),
        _define("BOARD_CODE_BASE", board.region(board.code_region).base),
        "",
        *_clock_defines(board.clock),
        "",
        *_stm32_defines(board.stm32),
        *_console_defines(board.console, board.stm32),
        "",
        *_quad_spi_defines(board.quad_spi, board.stm32, board.external_flash()),
        "",
        "#endif  // BOARD_CONFIG_H_",
    ]
    return "\n".join(lines) + "\n"


def external_image_header(image: bytes) -> str:
    """`external_image.h`: what the external flash must hold; no bytes when it is not used."""
    lines = [
        f"// {_LICENSE}",
        "// The part of the image that is programmed into external flash.",
        "#ifndef EXTERNAL_IMAGE_H_",
        "#define EXTERNAL_IMAGE_H_",
        "",
        f"#define EXTERNAL_IMAGE_BYTES {len(image)}u",
        f"#define EXTERNAL_IMAGE_CRC32 {zlib.crc32(image):#010x}u",
        "",
        "#endif  // EXTERNAL_IMAGE_H_",
    ]
    return "\n".join(lines) + "\n"
