# SPDX-License-Identifier: Apache-2.0
"""A bare ELF of assembly functions, and a core with two memories to run it on."""

from __future__ import annotations

import subprocess
from pathlib import Path

from firmware.elf import Elf
from firmware.emulator.core import CortexM
from firmware.emulator.memory import Access, Memory

CODE_BASE, CODE_BYTES = 0x0001_0000, 0x1_0000
RAM_BASE, RAM_BYTES = 0x2000_0000, 0x1_0000
BACK = CODE_BASE + CODE_BYTES - 4  # nothing is linked there
LIMIT = 1_000_000

CODE = Memory("CODE", CODE_BASE, CODE_BYTES, Access.READ | Access.EXECUTE, loadable=True)
RAM = Memory("RAM", RAM_BASE, RAM_BYTES, Access.READ | Access.WRITE)

_SCRIPT = f"""
SECTIONS {{
  .text {CODE_BASE:#x} : {{ *(.text*) *(.rodata*) }}
}}
"""


def assemble(folder: Path, core: str = "cortex-m7", **functions: str) -> Elf:
    """Links functions given by their assembly text, one instruction a line or behind `;`."""
    lines = [".syntax unified", ".thumb"]
    for name, body in functions.items():
        lines += [f".global {name}", f".type {name}, %function", ".thumb_func", f"{name}:"]
        lines += [line.strip() for line in body.replace(";", "\n").splitlines()]
        lines += [f".size {name}, . - {name}"]
    source, script, elf = folder / "bare.S", folder / "bare.ld", folder / "bare.elf"
    source.write_text("\n".join([*lines, ""]))
    script.write_text(_SCRIPT)
    float_abi = ["-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"] if core == "cortex-m7" else []
    subprocess.run(
        ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", *float_abi, "-nostdlib", "-Wl,-e,0",
         f"-Wl,-T,{script}", str(source), "-o", str(elf)],
        check=True, capture_output=True,
    )  # fmt: skip
    return Elf(elf)


def machine(elf: Elf, core: str = "cortex-m7", *others: Memory, strict: bool = False) -> CortexM:
    """The core with code, RAM and other memories; it meters everything."""
    made = CortexM(core, elf, (CODE, RAM, *others), name="bare", strict=strict)
    made.counter.set_metering(True)
    return made


def call(core: CortexM, name: str, *arguments: int, limit: int = LIMIT) -> int:
    """r0 of a function."""
    address = core.elf.address(name)
    return core.call(address, arguments, stack=RAM_BASE + RAM_BYTES, back=BACK, limit=limit)
