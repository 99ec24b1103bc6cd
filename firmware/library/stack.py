# SPDX-License-Identifier: Apache-2.0
"""The stack that functions of a linked image may take: over every path of calls, from its code.

Each function's own share is what its instructions push and subtract; assembly and the compiler's
library are code like the rest. An indirect call may reach every function whose address is stored
anywhere. What cannot be followed (recursion, a frame of unknown size) is an error.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import re
import struct
from collections.abc import Iterable
from pathlib import Path

from firmware.elf import Elf
from firmware.elf_file import SHF_ALLOC, SHT_PROGBITS, SHT_REL, SHT_RELA, STT_SECTION, ElfFile
from firmware.errors import FirmwareError
from toolchain import cross_tool, run_tool

ALIGNMENT = 8  # of the stack at a call (AAPCS)
_ABSOLUTE = {2, 47}  # R_ARM_ABS32, R_ARM_THM_MOVW_ABS_NC
_LINE = re.compile(r"^ *([0-9a-f]+):\t(?:[0-9a-f]{4} ?){1,2}\s*\t(\S+)(?:\t(.*))?$")
_SHIFTED = re.compile(r"\w+, (\w+), #(\d+)")
_FRAME_POINTERS = ("r7", "fp")  # which a function's end gives back
_LIST = re.compile(r"\{(.*)\}")
_CONDITIONS = ("eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
_BRANCHES = frozenset(("b", "bl", "cbz", "cbnz", *(f"b{word}" for word in _CONDITIONS)))


@dataclasses.dataclass(frozen=True)
class StackUse:
    """What a header says of the stack.

    Attributes:
      size_bytes: of the deepest call.
      core, compiler, options: which code was looked at.
      how: which calls were looked at, as the end of a sentence about the deepest.
      beside: what else comes on top of it.
    """

    size_bytes: int
    core: str
    compiler: str
    options: str
    how: str = "from all paths through the code that"
    beside: str = "interrupts' where they share it"


@dataclasses.dataclass
class _Function:
    frame_bytes: int = 0
    calls: set[int] = dataclasses.field(default_factory=set)
    indirect: bool = False


def _registers(text: str) -> int:
    """How many a list such as `r4, r5, lr` or `d8-d15` names."""
    count = 0
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        count += 1 if not last else int(last[1:]) - int(first[1:]) + 1
    return count


class _Reader:
    """Reads one disassembly."""

    def __init__(self, elf: Elf, words: dict[int, int]) -> None:
        self._elf = elf
        self._words = words
        self._starts = [symbol.address for symbol in elf.functions]
        self.functions = {address: _Function() for address in self._starts}
        self._constants: dict[str, int] = {}
        self._at = -1

    def function_of(self, address: int) -> int:
        """Where the function begins that holds an address."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            raise FirmwareError(f"{self._elf.path}: code at {address:#x} belongs to no function")
        return self._starts[index]

    def read(self, address: int, mnemonic: str, operands: str) -> None:
        """Adds one instruction to its function."""
        start = self.function_of(address)
        if start != self._at:
            self._at, self._constants = start, {}
        function, plain = self.functions[start], mnemonic.removesuffix(".w").removesuffix(".n")
        function.frame_bytes += self._pushed(plain, operands)
        self._remember(plain, operands)
        if plain in _BRANCHES:
            self._branch(function, start, operands, is_call=plain == "bl")
        elif plain == "blx" or (plain == "bx" and operands.strip() != "lr"):
            function.indirect = True

    def _branch(self, function: _Function, start: int, operands: str, *, is_call: bool) -> None:
        target = re.search(r"([0-9a-f]+) <", operands)
        if target is None:
            return
        address = int(target[1], 16)
        other = self.function_of(address)
        # Cortex-M0+ has `bl` for far jumps within a function too: only its start is recursion.
        if other != start or (is_call and address == start):
            function.calls.add(other)

    def _pushed(self, mnemonic: str, operands: str) -> int:
        listed = _LIST.search(operands)
        stores = mnemonic in ("stmdb", "vstmdb") and operands.startswith("sp!")
        if listed and (mnemonic in ("push", "vpush") or stores):
            return (8 if listed[1].strip().startswith("d") else 4) * _registers(listed[1])
        before = re.search(r"\[sp, #-(\d+)\]!", operands)
        if before:
            return int(before[1])
        parts = [part.strip() for part in operands.split("@")[0].split(",")]
        if mnemonic == "mov" and parts[0] == "sp" and parts[1] not in _FRAME_POINTERS:
            raise self._unknown(parts[1])
        if mnemonic in ("sub", "subw", "add", "addw") and parts[0] == "sp":
            return self._subtracted(mnemonic, parts)
        return 0

    def _subtracted(self, mnemonic: str, parts: list[str]) -> int:
        if len(parts) == 3 and parts[1] != "sp":
            return 0  # the end of a frame, from a frame pointer
        amount = parts[-1]
        if amount.startswith("#"):
            value = int(amount[1:])
        elif amount in self._constants:
            value = self._constants[amount]
        else:
            raise self._unknown(amount)
        return max(0, value if mnemonic.startswith("sub") else -value)

    def _unknown(self, amount: str) -> FirmwareError:
        where = self._elf.describe(self._at)
        return FirmwareError(
            f"{self._elf.path}: {where} moves the stack by {amount}, known only when it runs"
        )

    def _remember(self, mnemonic: str, operands: str) -> None:
        """Constants in registers, for frames too large for an immediate."""
        target = operands.split(",")[0].strip()
        value = re.match(r"\w+, #(\d+)", operands)
        literal = re.search(r"\[pc, #\d+\].*@ \(([0-9a-f]+)", operands)
        if mnemonic in ("mov", "movs", "movw") and value:
            self._constants[target] = int(value[1])
        elif mnemonic == "ldr" and literal and int(literal[1], 16) in self._words:
            self._constants[target] = self._words[int(literal[1], 16)]
        elif mnemonic in ("negs", "rsbs") and operands.split(",")[1].strip() in self._constants:
            self._constants[target] = -self._constants[operands.split(",")[1].strip()]
        elif mnemonic in ("lsls", "lsl") and (shifted := _SHIFTED.fullmatch(operands)):
            if shifted[1] in self._constants:
                self._constants[target] = self._constants[shifted[1]] << int(shifted[2])
        else:
            self._constants.pop(target, None)


def _contents(path: Path) -> tuple[dict[int, int], set[int]]:
    """Words of the image by address, and the functions whose address it holds."""
    words: dict[int, int] = {}
    stored: set[int] = set()
    file = ElfFile(path.read_bytes())
    for section in file.sections:
        if section.flags & SHF_ALLOC and section.kind == SHT_PROGBITS:
            data, base = section.data, section.address
            for offset in range(-base % 4, len(data) - 3, 4):
                words[base + offset] = struct.unpack_from("<i", data, offset)[0]
    for section in file.sections:
        if section.kind not in (SHT_REL, SHT_RELA):
            continue
        if not file.section(section.info).flags & SHF_ALLOC:
            continue  # debug information
        for relocation in file.relocations(section):
            if relocation.kind in _ABSOLUTE:
                symbol = file.symbols[relocation.symbol]
                # Of a section it is the place from which a local label is counted, not a target:
                # the first function of the code, whichever that is.
                if symbol.kind != STT_SECTION:
                    stored.add(symbol.value & ~1)
                stored.add(words.get(relocation.offset, 0) & ~1)
    return words, stored


def stack_bytes(path: Path, entries: Iterable[str]) -> int:
    """Bytes of the deepest call of any of the functions.

    Args:
      path: an ELF linked with --emit-relocs.
      entries: names of functions.

    Raises:
      FirmwareError: recursion, or a frame whose size only a run knows.
    """
    elf = Elf(path)
    words, stored = _contents(path)
    reader = _Reader(elf, words)
    text = run_tool([cross_tool("objdump").path, "-d", str(path)], "disassembling")
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            reader.read(int(match[1], 16), match[2], match[3] or "")
    functions = reader.functions
    targets = {address for address in stored if address in functions}
    active: set[int] = set()

    @functools.cache
    def deepest(start: int) -> int:
        if start in active:
            raise FirmwareError(f"{path}: {elf.describe(start)} calls itself; its stack has no end")
        active.add(start)
        function = functions[start]
        reached = function.calls | (targets if function.indirect else set())
        below = max((deepest(other) for other in reached), default=0)
        active.remove(start)
        return -(-function.frame_bytes // ALIGNMENT) * ALIGNMENT + below

    return max(deepest(elf.address(name)) for name in entries)
