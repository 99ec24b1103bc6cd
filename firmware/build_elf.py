# SPDX-License-Identifier: Apache-2.0
"""Compiles and links a firmware project with arm-none-eabi-gcc, and reports its sizes."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from firmware.elf import Elf, MemoryUse
from firmware.errors import FirmwareError
from firmware.included import included
from firmware.project import LINKER_SCRIPT, Group, Project, ProjectFile
from tflm_vit.files import followed, write_atomic
from tflm_vit.threads import Stopped, in_threads
from toolchain import Compiler, ToolchainError, cached, cross_tool, digest, raised_as, run_tool

KIND = "firmware"  # in the cache; kernels take seconds to compile


def compile_flags(project: Project, file: ProjectFile) -> list[str]:
    """Compiler flags of a file, without include paths."""
    flags = project.flags
    language = flags.cxx if file.path.suffix == ".cc" else (flags.c_standard,)
    return [
        *project.board.core.compiler_flags(),
        *language,
        project.optimization(file.group),
        *flags.common,
        *flags.warnings,
        *(f"-D{name}" for name in project.defines),
    ]


def link_flags(project: Project) -> list[str]:
    """Linker flags, without the linker script's path."""
    return [*project.board.core.compiler_flags(), *project.flags.link]


def _object_key(
    gcc: Compiler, command: list[str], project: Project, root: Path, file: ProjectFile
) -> str:
    """Digest of all that an object file depends on."""
    parts: list[bytes | str] = [gcc.version, "\0".join(command[1:])]
    folders = (*project.include_directories(file.group), *project.system_includes)
    paths = [other.path for other in project.files]
    for path in included(file.path, paths, folders, lambda path: (root / path).read_bytes()):
        parts += [str(path), (root / path).read_bytes()]
    return digest(*parts)


def _compile(
    gcc: Compiler, project: Project, root: Path, file: ProjectFile, stopped: Stopped
) -> Path:
    # The suffix stays in the name: a C file and an assembly file may share a stem.
    output = Path("obj") / f"{file.path}.o"
    (root / output.parent).mkdir(parents=True, exist_ok=True)
    includes = [f"-I{directory}" for directory in project.include_directories(file.group)]
    if file.path.suffix == ".cc":
        includes += [f"-isystem{directory}" for directory in project.system_includes]
    command = [gcc.path, *compile_flags(project, file), *includes, "-c", str(file.path)]
    # Relative paths, and none in debug information: the image does not depend on where it is built.
    unplaced = [f"-ffile-prefix-map={root}=.", f"-Wa,--debug-prefix-map={root}=."]

    def compile_to(target: Path) -> Path:
        arguments = [*command, *unplaced, "-o", str(target)]
        run_tool(arguments, f"compiling {file.path}", root, stopped)
        return target

    # The weights' assembly includes a binary file that the key does not cover.
    if file.group is Group.MODEL and file.path.suffix == ".S":
        compile_to(root / output)
        return output
    key = _object_key(gcc, command, project, root, file)
    made = cached(KIND, file.path.stem, ".o", key, lambda work: compile_to(work / "object.o"))
    shutil.copyfile(made, root / output)
    return output


def compile_objects(gcc: Compiler, project: Project, root: Path, jobs: int) -> list[Path]:
    """All object files, relative to `root`.

    A failure, or Ctrl-C, ends the compilers that run and starts no other.
    """

    def compile_file(file: ProjectFile, stopped: Stopped) -> Path:
        return _compile(gcc, project, root, file, stopped)

    return in_threads(compile_file, project.translation_units(), jobs)


def link(gcc: Compiler, project: Project, root: Path, objects: list[Path], elf: Path) -> None:
    """Links `elf`, in `root`, with a .map beside it.

    Raises:
      FirmwareError: the image does not fit the board.
      ToolchainError: the linker failed.
    """
    command = [gcc.path, *link_flags(project), f"-T{LINKER_SCRIPT}"]
    command += [f"-Wl,-Map,{elf.with_suffix('.map').name}", *map(str, objects)]
    command += [*map(str, project.archives), *project.flags.libraries, "-o", elf.name]
    try:
        run_tool(command, "linking", directory=root)
    except ToolchainError as error:
        if "overflowed by" not in error.details:
            raise
        regions = [line.strip() for line in error.details.splitlines() if "overflowed by" in line]
        short = "; ".join(line.split("ld: ")[-1] for line in regions)
        raise FirmwareError(
            f"{project.name} does not fit {project.board.name}: {short}", details=error.details
        ) from None


def build(project: Project, elf: Path, *, jobs: int = 2) -> MemoryUse:
    """Builds `project` into `elf` and returns its memory use.

    The work happens in a temporary directory; `elf` and `elf`'s .map appear only on success.

    Raises:
      FirmwareError: no cross compiler, a compiler message, or the image does not fit the board.
    """
    place = Path(followed(elf))
    place.parent.mkdir(parents=True, exist_ok=True)
    with (
        raised_as(lambda error: FirmwareError(str(error), error.details)),
        tempfile.TemporaryDirectory(prefix=f".{elf.name}-", dir=place.parent) as temporary,
    ):
        gcc = cross_tool("gcc")
        # As the compiler sees it: else the folder's own name gets into the debug information.
        root = Path(temporary).resolve()
        project.write(root)
        objects = compile_objects(gcc, project, root, jobs)
        linked = root / elf.name
        link(gcc, project, root, objects, linked)
        use = Elf(linked).memory_use(project.board)
        write_atomic(elf.with_suffix(".map"), linked.with_suffix(".map").read_bytes())
        os.replace(linked, place)
    return use
