# SPDX-License-Identifier: Apache-2.0
"""Faults of the emulated firmware, and what they say."""

from __future__ import annotations

from unicorn import (
    UC_MEM_FETCH_PROT,
    UC_MEM_FETCH_UNMAPPED,
    UC_MEM_READ_PROT,
    UC_MEM_READ_UNMAPPED,
    UC_MEM_WRITE_PROT,
    UC_MEM_WRITE_UNMAPPED,
)

from firmware.errors import FirmwareError

_ACCESSES = {
    UC_MEM_READ_UNMAPPED: "read from",
    UC_MEM_WRITE_UNMAPPED: "write to",
    UC_MEM_FETCH_UNMAPPED: "execution at",
    UC_MEM_READ_PROT: "read from protected",
    UC_MEM_WRITE_PROT: "write to read-only",
    UC_MEM_FETCH_PROT: "execution in non-executable",
}
_EXCEPTIONS = {
    1: "undefined instruction",
    2: "SVC",
    3: "prefetch abort",
    4: "data abort",
    7: "breakpoint",
    17: "coprocessor not available",
    18: "invalid state",
}


class GuestFault(FirmwareError):
    """The firmware did what the real board would fault on (or silently get wrong).

    Attributes:
      address: the data or instruction address concerned, or None.
      pc: program counter at the fault, or None when it is not known yet.
    """

    def __init__(self, message: str, address: int | None = None, pc: int | None = None) -> None:
        super().__init__(message)
        self.address = address
        self.pc = pc


class EndlessFault(GuestFault):
    """The firmware worked for more instructions than it was given."""


def invalid_access(access: int, address: int, size_bytes: int) -> str:
    """What an access of one of Unicorn's kinds (UC_MEM_*) was, and where."""
    # For a fetch Unicorn reports no useful size.
    fetch = access in (UC_MEM_FETCH_UNMAPPED, UC_MEM_FETCH_PROT)
    return f"{_ACCESSES[access]} {address:#010x}{'' if fetch else f' of {size_bytes} bytes'}"


def exception_name(number: int) -> str:
    """What one of QEMU's exception numbers means."""
    return _EXCEPTIONS.get(number, f"exception {number}")
