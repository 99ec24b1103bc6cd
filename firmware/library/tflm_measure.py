# SPDX-License-Identifier: Apache-2.0
"""What a library over TFLM takes: linked with TFLM's own library, and run on an emulated core."""

from __future__ import annotations

import dataclasses
import re
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from boards import Board
from converter.plan import problem as plan_problem
from firmware.build_elf import compile_objects
from firmware.elf import Elf, double_precision_instructions
from firmware.emulator.core import CortexM
from firmware.emulator.memory import Access, Memory
from firmware.errors import FirmwareError
from firmware.library.camera import PixelFormat
from firmware.library.facts import Facts
from firmware.library.library import INCLUDE, LIBRARY_FLAGS, Library, code_bytes, functions
from firmware.library.stack import ALIGNMENT, StackUse
from firmware.library.tflm_engine import TflmCounts
from firmware.project import Group, Project, ProjectFile
from firmware.tflm.tree import TflmTree
from toolchain import cross_tool, digest, raised_as, run_tool

_SOURCES = Path(__file__).parents[1] / "src"
_FILES = ("app/console.h", "tflm/tflm_platform.cc", "tflm_measure/console_log.c")
_CODE = Memory("CODE", 0x0800_0000, 32 << 20, Access.READ | Access.EXECUTE, loadable=True)
_RAM = Memory("RAM", 0x2000_0000, 64 << 20, Access.READ | Access.WRITE, loadable=True)
STACK_TOP = _RAM.end
_STACK_ROOM = 64 << 10
STATE = _RAM.base + (1 << 20)  # .data and .bss lie below
ANSWER, VIEW, CAMERA = STATE + 0x100, STATE + 0x200, STATE + 0x1000
DATA = _RAM.base + (8 << 20)
ARENA = _RAM.base + (24 << 20)
_ROOM = 4 << 20  # what TFLM may keep beside the plan
_BACK = _CODE.end - 4
_PAINT = 0xA5
_LIMIT = 100_000_000_000
_SCRIPT = f"""\
SECTIONS {{
  .text {_CODE.base:#x} : {{ *(.text*) *(.rodata*) *(.extflash*) *(.init_array*) }}
  .data {_RAM.base:#x} : {{ *(.data*) *(.bss*) *(COMMON) }}
}}
"""
_HOW = "the most that an inference took on the emulated core, in code that"
_BESIDE = "interrupts' where they share it, and what TFLM says when a call fails"


@dataclasses.dataclass(frozen=True)
class TflmUse:
    """Bytes that a library takes.

    Attributes:
      arena: the least that is enough, TFLM's objects and bookkeeping included.
      stack, camera_stack: of the model's calls, and of the camera's, if there are any.
      code: of all functions, TFLM's included.
      counted: instructions of the inference.
    """

    arena: int
    stack: StackUse
    camera_stack: StackUse | None
    code: int
    counted: TflmCounts


def _project(library: Library, board: Board, tree: TflmTree) -> Project:
    measuring = tuple(
        ProjectFile(PurePosixPath("src") / name, Group.TFLM, origin=_SOURCES / name)
        for name in _FILES
    )
    flags = dataclasses.replace(
        LIBRARY_FLAGS,
        firmware_optimization=library.optimization.model,
        model_optimization=library.optimization.model,
        kernel_optimization=library.optimization.kernels,
    )
    # Objects are kept by what they are made of, and TFLM's headers are no file of the project.
    revision = digest(tree.library.read_bytes())
    return Project(
        library.name,
        board,
        (*library.files, *measuring),
        (*tree.defines, f"VIT_TFLM_TREE_{revision[:16]}"),
        (INCLUDE,),
        tuple(PurePosixPath(path) for _, path in tree.include_roots()),
        flags=flags,
    )


def linked(library: Library, board: Board, tree: TflmTree, root: Path) -> Path:
    """The image of all functions of the headers."""
    gcc, project = cross_tool("gcc"), _project(library, board, tree)
    project.write(root)
    (root / "measure.ld").write_text(_SCRIPT, encoding="utf-8")
    objects = compile_objects(gcc, project, root, 2)
    wanted = [f"-Wl,-u,{name}" for names in _entries(library) for name in names]
    flags = [*board.core.compiler_flags(), "-nostartfiles", "-Wl,--gc-sections,-e,0"]
    command = [gcc.path, *flags, *wanted, "-Wl,-T,measure.ld", *map(str, objects)]
    libraries = [str(tree.library), "-lm", "-lc", "-lgcc"]
    run_tool([*command, *libraries, "-o", "measure.elf"], "linking", root)
    return root / "measure.elf"


def _entries(library: Library) -> list[tuple[str, ...]]:
    """Functions of the model's header, and of the camera's, if there is one."""
    headers = [f.text or "" for f in library.files if f.path.parent == INCLUDE]
    return [functions(header, library.name) for header in headers]


class Called:
    """Calls functions of a library, and knows the most stack that one took."""

    def __init__(self, facts: Facts, elf: Elf, core: str) -> None:
        self.facts, self.stack = facts, 0
        self.core = CortexM(core, elf, (_CODE, _RAM), name=facts.name)
        self.core.counter.follow_pointer(STACK_TOP)

    def status(self, function: str, *arguments: int, stateful: bool = True) -> int:
        """What a call returns."""
        name = f"{self.facts.name}_{function}"
        self.core.write(STACK_TOP - _STACK_ROOM, bytes([_PAINT]) * _STACK_ROOM)
        words = (STATE, *arguments) if stateful else arguments
        address = self.core.elf.address(name)
        status = self.core.call(address, words, stack=STACK_TOP, back=_BACK, limit=_LIMIT)
        painted = self.core.read(STACK_TOP - _STACK_ROOM, _STACK_ROOM)
        untouched = len(painted) - len(painted.lstrip(bytes([_PAINT])))
        # What is reserved and not written is below what lost its paint.
        reserved = STACK_TOP - int(self.core.counter.head.lowest_pointer)
        deepest = max(_STACK_ROOM - untouched, reserved)
        self.stack = max(self.stack, -(-deepest // ALIGNMENT) * ALIGNMENT)
        return status

    def __call__(self, function: str, *arguments: int, stateful: bool = True) -> None:
        if status := self.status(function, *arguments, stateful=stateful):
            name = f"{self.facts.name}_{function}"
            raise FirmwareError(
                f"TFLM does not run this model: {name} returned {status}: {self._said()}"
            )

    def _said(self) -> str:
        elf = self.core.elf
        size = self.core.read_u32(elf.address("console_log_bytes"))
        text = self.core.read(elf.address("console_log"), size).decode(errors="replace")
        return " ".join(text.split()) or "no message (a release build has none)"

    def total(self) -> int:
        """Instructions so far."""
        return int(self.core.counter.head.total)

    def answer(self) -> int:
        """The word that the last call wrote."""
        return self.core.read_u32(ANSWER)


def _suffixes(tensors: Sequence[object]) -> list[str]:
    return [""] if len(tensors) == 1 else [str(i) for i in range(len(tensors))]


def _infer_tensors(call: Called) -> tuple[int, TflmCounts]:
    interface = call.facts.interface
    used, start, begun = 0, call.total(), 0
    for ending, tensor in zip(_suffixes(interface.inputs), interface.inputs, strict=True):
        call(f"input{ending}", ANSWER)
        begun = begun or call.total()
        call.core.write(call.answer(), bytes(tensor.size_bytes))
        call("arena_used", ANSWER)
        used = call.answer()
    call("invoke")
    counted = TflmCounts(begun - start, call.total() - begun)
    for ending in _suffixes(interface.outputs):
        call(f"output{ending}", ANSWER)
    return used, counted


def _infer_image(call: Called) -> tuple[int, TflmCounts]:
    interface = call.facts.interface
    assert interface.image is not None
    rng = np.random.default_rng(0)
    call.core.write(DATA, rng.integers(0, 256, interface.input_bytes, np.uint8).tobytes())
    start = call.total()
    call("begin")
    begun = call.total()
    call("arena_used", ANSWER)
    used = call.answer()
    call("push_rows", DATA, interface.image.height)
    call("finish")
    counted = TflmCounts(begun - start, call.total() - begun)
    call("output", ANSWER)
    call("best_class", ANSWER)
    call("run", DATA)
    return used, counted


def _infer_camera(call: Called) -> None:
    image = call.facts.interface.image
    assert image is not None
    width = image.width + image.width % 2
    for format in PixelFormat:
        size = (width, image.height, 0, 0, width, image.height)
        # Enumerations are as short as their values (AAPCS, -fshort-enums).
        call.core.write(VIEW, struct.pack("<7H", format, *size))
        call("camera_begin", CAMERA, STATE, VIEW, stateful=False)
        call("camera_rows", CAMERA, DATA, image.height, stateful=False)


def _least_arena(call: Called, used: int) -> int:
    """Bytes with which an inference begins: TFLM's own planner takes some only while it plans."""
    interface = call.facts.interface
    first = "begin" if interface.image is not None else f"input{_suffixes(interface.inputs)[0]}"

    def begins(arena: int) -> bool:
        call("init", ARENA, arena)
        return call.status(first, ANSWER) == 0

    low, high = used - plan_problem.ALIGNMENT, used
    while not begins(high):
        low, high = high, high + max(2 * (high - low), plan_problem.ALIGNMENT)
    while high - low > plan_problem.ALIGNMENT:
        middle = (low + high) // 2 // plan_problem.ALIGNMENT * plan_problem.ALIGNMENT
        low, high = (low, middle) if begins(middle) else (middle, high)
    return high


def measured(library: Library, board: Board, tree: TflmTree) -> TflmUse:
    """Builds for the board's core and runs an inference in an arena with room.

    Raises:
      FirmwareError: a compiler's or linker's message, an operator that TFLM refuses, or a library
        of TFLM's for another floating-point unit.
    """
    facts = library.facts
    with (
        raised_as(lambda error: FirmwareError(str(error), error.details)),
        tempfile.TemporaryDirectory(prefix="vit-tflm-library-") as folder,
    ):
        image = linked(library, board, tree, Path(folder).resolve())
        elf, code = Elf(image), code_bytes(image)
        if not board.core.double_precision and double_precision_instructions(elf):
            raise FirmwareError(
                f"{tree.library} was built for a double-precision unit, {board.name} has "
                f"{board.core.fpu}: build TFLM again, with FPU={board.core.fpu}"
            )
        gcc = cross_tool("gcc")
        compiler = " ".join([Path(gcc.path).name, *re.findall(r"\d+\.\d+\.\d+", gcc.says)[:1]])

        def use(call: Called) -> StackUse:
            options = f"{library.optimization}, TFLM as it was built"
            return StackUse(call.stack, board.core.name, compiler, options, _HOW, _BESIDE)

        call = Called(facts, elf, board.core.name)
        call("init", ARENA, facts.interface.arena_bytes + _ROOM)
        used, counted = (_infer_tensors if facts.interface.image is None else _infer_image)(call)
        stack, camera_stack = use(call), None
        if facts.has_camera:
            call.stack, call.core.counter.head.lowest_pointer = 0, STACK_TOP
            _infer_camera(call)
            camera_stack = use(call)
        # Last: a call that fails has another stack.
        return TflmUse(_least_arena(call, used), stack, camera_stack, code, counted)
