# SPDX-License-Identifier: Apache-2.0
"""The part of a board's file that an STM32 with drivers needs: clock tree, console, QSPI flash."""

from __future__ import annotations

from boards.clock import Bus, Clock
from boards.console import Console, Pin
from boards.keys import CLOCK_KEYS, CONSOLE_KEYS, QUAD_SPI_KEYS
from boards.memory import RegionKind
from boards.reader import ObjectReader
from boards.regions_file import Speed
from boards.stm32 import FAMILY_OF, QUAD_SPI_SEEK_CLOCKS, QuadSpi, Stm32

LOWEST_HZ, HIGHEST_HZ = 100_000, 2_000_000_000
_ADDRESS = 0xFFFF_FFFF
QUAD_SPI_PINS = 6
_QUAD_SPI_BITS = 4
_HZ = f"{LOWEST_HZ} to {HIGHEST_HZ} (Hz, not MHz)"


def family(reader: ObjectReader) -> Stm32 | None:
    """The family of a board's file; None when it names none."""
    if "family" not in reader:
        for name in ("clock", "quad_spi"):
            if name in reader:
                raise reader.error(name, "nothing without family")
        return None
    return FAMILY_OF[reader.word("family", list(FAMILY_OF))]


def clock(board: ObjectReader) -> Clock:
    """The clock tree; the frequencies that it gives are checked."""
    if "clock_hz" in board:
        raise board.error("clock_hz", "nothing beside clock")
    reader = board.object("clock", CLOCK_KEYS)

    def count(name: str, low: int, high: int, default: int | None = None) -> int:
        return reader.number(name, f"{low} to {high}", default, low=low, high=high)

    tree = Clock(
        source_hz=reader.number("source_hz", _HZ, low=LOWEST_HZ, high=HIGHEST_HZ),
        source_bypass=reader.flag("source_bypass"),
        pll_m=count("pll_m", 1, 63),
        pll_n=count("pll_n", 4, 512),
        pll_p=count("pll_p", 2, 128),
        pll_q=count("pll_q", 1, 128),
        ahb_divider=count("ahb_divider", 1, 512, 1),
        apb1_divider=count("apb1_divider", 1, 16),
        apb2_divider=count("apb2_divider", 1, 16),
        flash_wait_states=count("flash_wait_states", 0, 15),
        flash_control=count("flash_control", 0, _ADDRESS, 0),
        over_drive_above_hz=count("over_drive_above_hz", 0, HIGHEST_HZ, 0),
    )
    if not LOWEST_HZ <= tree.system_hz <= HIGHEST_HZ:
        raise ValueError(f"{reader.where}: gives {tree.system_hz} Hz, expected {_HZ}")
    return tree


def _pin(reader: ObjectReader, text: object, name: str) -> Pin:
    try:
        return Pin.parse(str(text))
    except ValueError as error:
        raise ValueError(f"{reader.where}: {name}: {error}") from None


def _address(reader: ObjectReader, name: str) -> int:
    return reader.number(name, "an address", high=_ADDRESS)


def _enable(reader: ObjectReader) -> tuple[int, int]:
    offset = reader.number("clock_enable_offset", "an offset, 0 to 1020", high=0x3FC)
    return offset, reader.number("clock_enable_bit", "0 to 31", high=31)


def console(board: ObjectReader, tree: Clock, baud: int) -> Console:
    """The serial port."""
    reader = board.object("console", CONSOLE_KEYS)
    offset, bit = _enable(reader)
    bus = Bus(reader.word("bus", [each.value for each in Bus]))
    clock_hz = tree.bus_hz(bus)
    if not 16 <= clock_hz / baud <= 0xFFFF:
        raise board.error("baud", f"{clock_hz // 0xFFFF + 1} to {clock_hz // 16} at {clock_hz} Hz")
    return Console(
        name=reader.matched("name", r"[A-Z][A-Z0-9]{0,15}", "capital letters and digits"),
        base=_address(reader, "base"),
        clock_enable_offset=offset,
        clock_enable_bit=bit,
        clock_hz=clock_hz,
        baud=baud,
        transmit=_pin(reader, reader.get("transmit"), "transmit"),
        receive=_pin(reader, reader.get("receive"), "receive"),
    )


def external_speed(board: ObjectReader, tree: Clock) -> Speed | None:
    """How fast the QSPI flash is read, from its clock; None without one."""
    if "quad_spi" not in board:
        return None
    clock_hz = tree.ahb_hz / (_prescaler(board.object("quad_spi", QUAD_SPI_KEYS)) + 1)
    return Speed(clock_hz * _QUAD_SPI_BITS / 8 / 1e6, 1e9 * QUAD_SPI_SEEK_CLOCKS / clock_hz)


def _prescaler(reader: ObjectReader) -> int:
    return reader.number("prescaler", "0 to 255", high=255)


def quad_spi(board: ObjectReader, sizes: dict[RegionKind, int]) -> QuadSpi | None:
    """Pins and clock of the QSPI flash; its size is that of the region.

    Args:
      sizes: bytes of the last region of each kind.
    """
    if "quad_spi" not in board:
        return None
    reader = board.object("quad_spi", QUAD_SPI_KEYS)
    size = sizes.get(RegionKind.EXTERNAL_FLASH, 0)
    if not size or size & (size - 1):
        raise ValueError(
            f"{reader.where}: needs a region of kind external of a power of two bytes, got {size}"
        )
    pins = reader.items("pins")
    if len(pins) != QUAD_SPI_PINS:
        raise reader.error("pins", f"{QUAD_SPI_PINS} pins: CLK, NCS, IO0 to IO3")
    offset, bit = _enable(reader)
    return QuadSpi(
        base=_address(reader, "base"),
        prescaler=_prescaler(reader),
        size_log2=size.bit_length() - 1,
        pins=tuple(_pin(reader, pin, "pins") for pin in pins),
        clock_enable_offset=offset,
        clock_enable_bit=bit,
    )
