# SPDX-License-Identifier: Apache-2.0
"""A library on emulated cores: the reference's outputs, and no more stack than its header says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from boards.core import CPU_OF
from converter.runtimes import open_runtime
from firmware.build_elf import compile_objects
from firmware.code_table import generic_board
from firmware.elf import Elf
from firmware.emulator.core import CortexM
from firmware.errors import FirmwareError
from firmware.library import Library, library_from_model
from firmware.library.library import INCLUDE, LIBRARY_FLAGS, functions
from firmware.library.stack import stack_bytes
from firmware.project import Project
from tests.firmware import bare_program
from tests.firmware.library import models
from toolchain import cross_tool, run_tool

ARENA, STATE, DATA, TOP = 0x2000_0000, 0x2000_8000, 0x2000_8100, 0x2001_0000
PAINT = 0xA5
SCRIPT = """\
SECTIONS {
  .text 0x10000 : { *(.text*) *(.rodata*) }
  .data 0x20008200 : { *(.data*) *(.bss*) }
}
"""


def linked(library: Library, core: str, folder: Path) -> Elf:
    """The library in the memory of the bare program's core."""
    board = generic_board(CPU_OF[core])
    project = Project(library.name, board, library.files, (), (INCLUDE,), flags=LIBRARY_FLAGS)
    project.write(folder)
    (folder / "library.ld").write_text(SCRIPT)
    gcc = cross_tool("gcc")
    objects = compile_objects(gcc, project, folder, 1)
    wanted = [f"-Wl,-u,{name}" for name in functions(header_of(library), library.name)]
    flags = [*board.core.compiler_flags(), "-nostartfiles", "-Wl,--gc-sections,-e,0", *wanted]
    command = [gcc.path, *flags, "-Wl,-T,library.ld", *map(str, objects), "-lc", "-lgcc"]
    run_tool([*command, "-o", "library.elf"], "linking", folder)
    return Elf(folder / "library.elf")


def header_of(library: Library) -> str:
    return next(f.text for f in library.files if f.path.parent == INCLUDE)


class Called:
    """Calls a library's functions, and knows the most stack that one took."""

    def __init__(self, core: CortexM, name: str) -> None:
        self.core, self.name, self.stack = core, name, 0

    def __call__(self, function: str, *arguments: int) -> None:
        room = 0x4000
        self.core.write(TOP - room, bytes([PAINT]) * room)
        status = bare_program.call(
            self.core, f"{self.name}_{function}", STATE, *arguments, limit=10**8
        )
        assert status == 0, function
        painted = self.core.read(TOP - room, room)
        self.stack = max(self.stack, room - len(painted) + len(painted.lstrip(bytes([PAINT]))))


@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m0plus"])
@pytest.mark.parametrize("name", ["first", "second"])
def test_a_core_gives_the_reference_within_the_stack(tmp_path, core, name):
    model = getattr(models, name)()
    library = library_from_model(model, name, generic_board(CPU_OF[core]))
    elf = linked(library, core, tmp_path)
    call = Called(bare_program.machine(elf, core), name)
    x = np.random.default_rng(3).integers(-128, 128, open_runtime("host", model).inputs[0].shape)
    call("init", ARENA, library.facts.interface.arena_bytes)
    call("begin")
    row_bytes = x.shape[2] * x.shape[3]
    for row in x[0].astype(np.int8):
        call.core.write(DATA, row.tobytes())
        call("push_rows", DATA, 1)
    call("finish")
    call("output", DATA)
    address = int.from_bytes(call.core.read(DATA, 4), "little")
    (expected,) = open_runtime("reference", model).run(x.astype(np.int8))
    got = np.frombuffer(call.core.read(address, expected.size), np.int8)
    np.testing.assert_array_equal(got, expected.reshape(-1))
    assert row_bytes < 0x100
    stated = int(re.search(r"_STACK_BYTES (\d+)u", header_of(library))[1])
    assert call.stack <= stated <= 1.2 * call.stack


def image_of(tmp_path: Path, core: str, source: str) -> Path:
    """A linked C file, its relocations kept."""
    (tmp_path / "a.c").write_text(source)
    flags = [f"-mcpu={core}", "-mthumb", "-O1", "-fno-inline", "-nostartfiles", "-Wl,--emit-relocs"]
    command = [cross_tool("gcc").path, *flags, "-Wl,-e,top", "a.c", "-o", "a.elf"]
    run_tool(command, "compiling", tmp_path)
    return tmp_path / "a.elf"


FRAME = "volatile char x[{n}]; x[0] = 1; x[{n} - 1] = x[0];"


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m7"])
def test_frames_and_paths_are_followed(tmp_path, core):
    """The deeper of two callees, one of them through a pointer; frames of every kind of size."""
    source = f"""
void small(void) {{ {FRAME.format(n=40)} }}
void large(void) {{ {FRAME.format(n=6000)} }}
void middle(void) {{ {FRAME.format(n=700)} small(); }}
void (*volatile chosen)(void) = large;
void top(void) {{ middle(); chosen(); small(); }}
"""
    path = image_of(tmp_path, core, source)
    found = {name: stack_bytes(path, [name]) for name in ("small", "middle", "large", "top")}
    assert 40 <= found["small"] <= 56
    assert 700 <= found["middle"] - found["small"] <= 724
    assert 6000 <= found["large"] <= 6024
    assert 8 <= found["top"] - found["large"] <= 24
    assert stack_bytes(path, ["small", "middle"]) == found["middle"]


# The first function of the code calls through a pointer; a table elsewhere holds a local label.
TABLE = f"""
__attribute__((no_reorder)) void leaf(void);
void (*volatile chosen)(void) = leaf;
__attribute__((no_reorder)) void top(void) {{ chosen(); }}
void leaf(void) {{
  {FRAME.format(n=40)}
  __asm volatile(".pushsection .rodata.t,\\"a\\"\\n.word .Lhere\\n.popsection\\n.Lhere:");
}}
"""


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m7"])
def test_a_table_of_labels_does_not_call_the_first_function(tmp_path, core):
    """As assembly has them; GCC 14 puts an operator first, which then seemed to call itself."""
    path = image_of(tmp_path, core, TABLE)
    assert Elf(path).address("top") == min(f.address for f in Elf(path).functions)
    assert 8 <= stack_bytes(path, ["top"]) - stack_bytes(path, ["leaf"]) <= 24


RECURSION = "int top(int n) { return n ? n + 2 * top(n - 1) : 0; }"
ARRAY = "void top(int n) { volatile char x[n]; x[0] = 1; x[n - 1] = x[0]; }"


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize(("source", "reason"), [(RECURSION, "calls itself"), (ARRAY, "moves")])
def test_what_has_no_bound_is_an_error(tmp_path, core, source, reason):
    with pytest.raises(FirmwareError, match=reason):
        stack_bytes(image_of(tmp_path, core, source), ["top"])
