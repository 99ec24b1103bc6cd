# SPDX-License-Identifier: Apache-2.0
"""A fused `.tflite` -> the files of a library, compiled once for a core, to measure."""

from __future__ import annotations

import dataclasses
import re
import tempfile
import zlib
from pathlib import Path, PurePosixPath

from boards import Board
from converter.compile import CompileError
from converter.compile.compiler import GeneratedFile, compile_graph
from converter.compile.planned import plan_from_model, read_graph
from converter.compile.weights import SYMBOL
from firmware.build_elf import compile_objects
from firmware.build_flags import FLAGS, BuildFlags
from firmware.elf import Elf
from firmware.errors import FirmwareError, ModelError
from firmware.library.compiled import CompiledEngine
from firmware.library.facts import Facts
from firmware.library.header import camera_texts, header_text, source_text
from firmware.library.kernels import kernels
from firmware.library.names import check_library_name
from firmware.library.said import said_by
from firmware.library.stack import StackUse, stack_bytes
from firmware.library.symbols import renamed, without_debug
from firmware.library.weights import weights_source
from firmware.project import Group, Project, ProjectFile
from toolchain import cross_tool, raised_as, run_tool

INCLUDE = PurePosixPath("include")
SOURCES = PurePosixPath("src")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wdouble-promotion")
# As the exported build files compile it, with every warning an error.
LIBRARY_FLAGS: BuildFlags = dataclasses.replace(FLAGS, warnings=(*WARNINGS, "-Werror"))
_MODEL, _MODEL_MACRO = "vit_model_", "VIT_MODEL_"


@dataclasses.dataclass(frozen=True)
class Optimization:
    """Compiler options of the two parts, which decide how much stack they take."""

    model: str = FLAGS.model_optimization
    kernels: str = FLAGS.kernel_optimization

    def __str__(self) -> str:
        """For people."""
        both = f"{self.model}, kernels {self.kernels}"
        return self.model if self.model == self.kernels else both


_SPEED = Optimization()


@dataclasses.dataclass(frozen=True)
class Library:
    """A library, whatever builds it.

    Attributes:
      facts: what its header says.
      files: `include/`, `src/` and `kernels/`.
      optimization: that build files ask for, and that the stack was measured with.
      code_bytes: of all its functions, the compiler's library included; None if not compiled.
    """

    facts: Facts
    files: tuple[ProjectFile, ...]
    optimization: Optimization
    code_bytes: int | None = None

    @property
    def name(self) -> str:
        """Prefix of its symbols, and its name for build systems."""
        return self.facts.name

    @property
    def kernels(self) -> str:
        """What the kernels of this version are called."""
        return f"vit_kernels_{self.facts.kernels}"

    def sizes(self, *, external: bool) -> tuple[int | None, int | None, int | None]:
        """Bytes of internal flash, external flash and SRAM (arena and stack); None unmeasured."""
        stack, code = self.facts.stack, self.code_bytes
        if stack is None or code is None:
            return None, None, None
        weights = self.facts.weights_bytes
        sram = self.facts.interface.arena_bytes + stack.size_bytes
        return (code, weights, sram) if external else (code + weights, 0, sram)

    def sources(self, group: Group) -> tuple[str, ...]:
        """Paths of what is compiled of a group, sorted."""
        units = (file for file in self.files if file.is_compiled and file.group is group)
        return tuple(sorted(str(file.path) for file in units))


def _model_text(text: str, name: str) -> str:
    """Generated C with the library's name in the place of the model's own."""

    def rename(symbol: str) -> str:
        for old, new in ((_MODEL, f"{name}_model_"), (_MODEL_MACRO, f"{name.upper()}_MODEL_")):
            if symbol.startswith(old):
                return new + symbol[len(old) :]
        return kernels().symbol(symbol)

    text = renamed(without_debug(text), rename)

    def included(match: re.Match[str]) -> str:
        header = match[1]
        if header == "vit_model.h":
            return f'#include "{name}_model.h"'
        # Beside this folder in every layout, so that no include path has to lead there.
        return f'#include "../kernels/{header}"'

    return re.sub(r'#include "(vit_[a-z0-9_]+\.h)"', included, text)


def model_files(facts: Facts, own: dict[str, str], weights: str) -> tuple[ProjectFile, ...]:
    """The model's part of a library.

    Args:
      facts: what its header says.
      own: text of the engine's files, by what follows the library's name.
      weights: `<name>_weights.c`.
    """
    name = facts.name
    sources = {".c": source_text(facts), **own, "_weights.c": weights}
    texts = [(INCLUDE / f"{name}.h", header_text(facts))]
    texts += [(SOURCES / f"{name}{ending}", text) for ending, text in sources.items()]
    if facts.has_camera:
        header, source = camera_texts(facts)
        texts += [(INCLUDE / f"{name}_camera.h", header), (SOURCES / f"{name}_camera.c", source)]
    return tuple(ProjectFile(path, Group.MODEL, text=text) for path, text in texts)


def _files(
    facts: Facts, generated: tuple[GeneratedFile, ...], external: bool
) -> tuple[ProjectFile, ...]:
    name = facts.name
    made = {file.name: file.content for file in generated}
    own = {
        "_model.h": _model_text(made["vit_model.h"].decode(), name),
        "_model.c": _model_text(made["vit_model.c"].decode(), name),
    }
    content = made["vit_model_weights.bin"]
    weights = weights_source(name, _model_text(SYMBOL, name), content, external)
    return (*model_files(facts, own, weights), *kernels().files)


def functions(header: str, name: str) -> tuple[str, ...]:
    """The functions that a library's header declares, but for those that it defines."""
    declared = re.findall(rf"^[\w ]+\*? ?({name}_\w+)\([^;{{]*\);", header, re.M)
    return tuple(sorted(set(declared)))


@dataclasses.dataclass(frozen=True)
class _Measured:
    """What the compiler made of a library.

    Attributes:
      stack: of the deepest call of the model's header; camera_stack: of the camera's, if any.
      code_bytes: of all functions but the camera's.
    """

    stack: StackUse
    camera_stack: StackUse | None
    code_bytes: int


def _measured(library: Library, board: Board) -> _Measured:
    """Compiles for the board's core."""
    headers = [f.text or "" for f in library.files if f.path.parent == INCLUDE]
    entries, *cameras = (functions(header, library.name) for header in headers)
    flags = dataclasses.replace(
        LIBRARY_FLAGS,
        model_optimization=library.optimization.model,
        kernel_optimization=library.optimization.kernels,
    )
    project = Project(library.name, board, library.files, (), (INCLUDE,), flags=flags)
    with (
        raised_as(lambda error: FirmwareError(str(error), error.details)),
        tempfile.TemporaryDirectory(prefix="vit-library-") as folder,
    ):
        gcc, root = cross_tool("gcc"), Path(folder).resolve()
        project.write(root)
        objects = compile_objects(gcc, project, root, 2)
        link = [*board.core.compiler_flags(), "-nostartfiles", "-Wl,--gc-sections,--emit-relocs"]
        compiler = " ".join([Path(gcc.path).name, *re.findall(r"\d+\.\d+\.\d+", gcc.says)[:1]])

        def linked(of: tuple[str, ...]) -> tuple[StackUse, Path]:
            image = root / f"{of[0]}.elf"
            wanted = [*(f"-Wl,-u,{entry}" for entry in of), f"-Wl,-e,{of[0]}"]
            command = [gcc.path, *link, *wanted, *map(str, objects), "-lc", "-lgcc"]
            run_tool([*command, "-o", str(image)], "linking", root)
            size = stack_bytes(image, of)
            return StackUse(size, board.core.name, compiler, str(library.optimization)), image

        stack, image = linked(entries)
        camera_stacks = [linked(camera)[0] for camera in cameras]
        return _Measured(stack, next(iter(camera_stacks), None), code_bytes(image))


def code_bytes(image: Path) -> int:
    """Bytes of all functions of an image."""
    distinct = {symbol.address: symbol.size_bytes for symbol in Elf(image).functions}
    return sum(distinct.values())


def library_from_model(
    model: bytes,
    name: str,
    board: Board,
    *,
    external: bool = False,
    check: bool = True,
    optimization: Optimization = _SPEED,
) -> Library:
    """Compiles a fused and planned `.tflite` into a library.

    Args:
      model: the file.
      name: prefix of all symbols.
      board: whose core the stack is measured for; the sources are for every core.
      external: the constants lie in a section for memory-mapped flash.
      check: compile it, every warning an error, and measure the stack.
      optimization: that it is going to be built with.

    Raises:
      FirmwareError: a name that C has otherwise, no cross compiler, or code whose stack has no
        bound.
      ModelError: the compiled runtime does not have the model's operators, or a damaged file.
    """
    check_library_name(name)
    try:
        compiled = compile_graph(read_graph(model), plan_from_model(model), external)
        said = said_by(model, compiled.interface)
    except CompileError as error:
        raise ModelError(str(error)) from error
    content = next(f.content for f in compiled.files if f.name == "vit_model_weights.bin")
    facts = Facts(
        name,
        compiled.interface,
        said,
        len(content),
        zlib.crc32(content),
        kernels().version,
        engine=CompiledEngine(),
    )
    library = Library(facts, _files(facts, compiled.files, external), optimization)
    if not check:
        return library
    measured = _measured(library, board)
    facts = dataclasses.replace(facts, stack=measured.stack, camera_stack=measured.camera_stack)
    files = _files(facts, compiled.files, external)
    return Library(facts, files, optimization, measured.code_bytes)
