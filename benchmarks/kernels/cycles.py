# SPDX-License-Identifier: Apache-2.0
"""Static cycle estimate of executed code on a Cortex-M7, from a documented pairing model.

An ESTIMATE, never measured on silicon. The model is of an in-order core that issues up to two
instructions a cycle, as Arm and third parties describe the Cortex-M7 (Cortex-M7 TRM r1p2, section
"Instruction timing" gives no table; the pairing rules below follow LLVM's ARMScheduleM7 model):

* in order, at most two instructions a cycle; at most one multiply, one divide, one branch and one
  load or store among them;
* an instruction waits for its operands: ALU results after 1 cycle, loads after 2, multiplies after
  2, except that a multiply-accumulate takes its accumulator after 1;
* LDM, STM, LDRD, STRD, PUSH and POP hold the load/store unit for one cycle per two words, and word
  i arrives after i / 2 more cycles; all but LDRD and STRD issue alone;
* a taken branch ends the cycle; a load to PC costs 3 cycles more; divides take 6.

Memory is a tightly coupled memory without wait states; flash and QSPI stalls are not included.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

from benchmarks.kernels.emulator import KernelEmulator

OBJDUMP = "arm-none-eabi-objdump"

_LINE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\t([^;@]*))?")
_REGISTER = re.compile(r"\b(r1[0-5]|r[0-9]|sl|fp|ip|sp|lr|pc)\b")
_CONDITIONS = "eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|hs|lo"
_BRANCH = re.compile(rf"^(b({_CONDITIONS})?|bl|bx|blx|cbz|cbnz|tbb|tbh)(\.[nw])?$")
_MULTIPLY = ("smla", "smul", "smm", "smlal", "smul", "mul", "mla", "mls", "umul", "umla", "smlsd")
_MANY = ("ldm", "stm", "push", "pop", "ldrd", "strd")
_NO_RESULT = ("cmp", "cmn", "tst", "teq", "str", "stm", "push", "nop", "it", "b")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """What the model needs to know: unit, registers read and written, words moved."""

    unit: str  # alu, mac, memory, branch, divide
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    accumulator: str | None  # read late
    words: int  # of a load or store
    is_load: bool
    to_pc: bool
    alone: bool = False


def _registers(text: str) -> list[str]:
    found: list[str] = []
    for piece in re.findall(r"r\d+-r\d+|\S+", text.replace(",", " ").replace("{", " ")):
        span = re.match(r"r(\d+)-r(\d+)", piece)
        if span:
            found += [f"r{i}" for i in range(int(span[1]), int(span[2]) + 1)]
        else:
            found += _REGISTER.findall(piece)
    return found


def parse(mnemonic: str, operands: str) -> Instruction:
    """One line of the disassembly."""
    name = mnemonic.split(".")[0]
    registers = _registers(operands)
    if _BRANCH.match(mnemonic):
        return Instruction("branch", tuple(registers), (), None, 0, False, False)
    is_memory = name.startswith(("ldr", "str", *_MANY))
    if is_memory:
        many = name.startswith(_MANY)
        if name.startswith(("push", "pop")):
            moved, base = registers, ["sp"]
        elif name.startswith(("ldm", "stm")):
            moved, base = registers[1:], registers[:1]
        else:
            count = 2 if name.startswith(("ldrd", "strd")) else 1
            moved, base = registers[:count], registers[count:]
        is_load = name.startswith(("ld", "pop"))
        updated = base[:1] if "!" in operands or "]," in operands or name in ("push", "pop") else []
        reads = base if is_load else base + moved
        writes = (moved if is_load else []) + updated
        words = len(moved) if many else 1
        alone = many and not name.startswith(("ldrd", "strd"))
        return Instruction(
            "memory",
            tuple(reads),
            tuple(writes),
            None,
            words,
            is_load,
            is_load and "pc" in moved,
            alone,
        )
    unit = "divide" if name in ("sdiv", "udiv") else "alu"
    if name.startswith(_MULTIPLY):
        unit = "mac"
    long_multiply = name.startswith(("smull", "umull", "smlal", "umlal"))
    writes = registers[: 2 if long_multiply else 1]
    reads = registers[1:]
    accumulator = None
    if unit == "mac" and len(registers) == 4 and not long_multiply:
        accumulator, reads = registers[3], registers[1:3]
    if name.startswith(_NO_RESULT) and not name.startswith(("bfi", "bic")):
        writes, reads = [], registers
    return Instruction(unit, tuple(reads), tuple(writes), accumulator, 0, False, False)


def block_cycles(block: list[Instruction]) -> int:
    """Cycles of straight-line code whose operands are ready at its start."""
    ready: dict[str, int] = {}
    late: dict[str, int] = {}  # when a register may serve as an accumulator
    cycle, issued, units = 0, 0, set[str]()
    memory_free = 0
    for one in block:
        earliest = max([ready.get(r, 0) for r in one.reads], default=0)
        if one.accumulator is not None:
            earliest = max(earliest, late.get(one.accumulator, 0))
        if one.unit == "memory":
            earliest = max(earliest, memory_free)
        full = issued >= 2 or (one.alone and issued > 0)
        if earliest > cycle or full or (one.unit != "alu" and one.unit in units):
            cycle = max(earliest, cycle + 1)
            issued, units = 0, set()
        issued += 2 if one.alone else 1
        units.add(one.unit)
        latency = {"memory": 2, "mac": 2, "divide": 6}.get(one.unit, 1)
        for i, register in enumerate(one.writes):
            ready[register] = cycle + latency + (i // 2 if one.words > 1 else 0)
            late[register] = cycle + (1 if one.unit == "mac" else latency)
        if one.unit == "memory":
            memory_free = cycle + max(1, (one.words + 1) // 2)
        if one.to_pc:
            cycle += 3
    return max(cycle + 1, memory_free)


class CycleModel:
    """Disassembly of an ELF, and the estimate for what an emulator ran of it."""

    def __init__(self, elf: Path) -> None:
        text = subprocess.run(
            [OBJDUMP, "-d", "--no-show-raw-insn", str(elf)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        self._code: dict[int, Instruction] = {}
        for line in text.splitlines():
            match = _LINE.match(line)
            if match and not match[2].startswith("."):
                self._code[int(match[1], 16)] = parse(match[2], match[3] or "")
        self._addresses = sorted(self._code)
        self._index = {address: i for i, address in enumerate(self._addresses)}
        self._cache: dict[tuple[int, int], int] = {}

    def _cycles(self, start: int, count: int) -> int:
        key = (start, count)
        if key not in self._cache:
            first = self._index[start]
            code = [self._code[a] for a in self._addresses[first : first + count]]
            self._cache[key] = block_cycles(code)
        return self._cache[key]

    def estimate(self, machine: KernelEmulator) -> int:
        """Cycles of everything since the last call with ``profile=True``."""
        return sum(
            block.executions * self._cycles(block.address, block.instructions)
            for block in machine.executed_blocks()
        )
