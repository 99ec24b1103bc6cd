# SPDX-License-Identifier: Apache-2.0
"""Compiles and links a firmware project with arm-none-eabi-gcc, and reports its sizes."""

from __future__ import annotations

import concurrent.futures
import os
import tempfile
from pathlib import Path

from firmware.elf import Elf, MemoryUse
from firmware.errors import FirmwareError
from firmware.project import INCLUDE_DIRECTORIES, LINKER_SCRIPT, Group, Project, ProjectFile
from firmware.toolchain import core_flags, find_tool, first_error, run_tool


def compile_flags(project: Project, group: Group) -> list[str]:
    """Compiler flags of a group of files, without include paths."""
    flags = project.flags
    return [
        *core_flags(project.board),
        flags.c_standard,
        project.optimization(group),
        *flags.common,
        *flags.warnings,
    ]


def link_flags(project: Project) -> list[str]:
    """Linker flags, without the linker script's path."""
    return [*core_flags(project.board), *project.flags.link]


def _compile(gcc: str, project: Project, root: Path, file: ProjectFile) -> Path:
    output = Path("obj") / file.path.with_suffix(".o")
    (root / output.parent).mkdir(parents=True, exist_ok=True)
    includes = [f"-I{directory}" for directory in INCLUDE_DIRECTORIES]
    command = [gcc, *compile_flags(project, file.group), *includes]
    # Relative paths, and none in debug information: the image does not depend on where it is built.
    command += [
        f"-ffile-prefix-map={root}=.",
        f"-Wa,--debug-prefix-map={root}=.",
        "-c",
        str(file.path),
        "-o",
        str(output),
    ]
    run_tool(command, f"compiling {file.path}", directory=root)
    return output


def _link(gcc: str, project: Project, root: Path, objects: list[Path], elf: Path) -> None:
    command = [gcc, *link_flags(project), f"-T{LINKER_SCRIPT}"]
    command += [f"-Wl,-Map,{elf.with_suffix('.map').name}", *map(str, objects)]
    command += [*project.flags.libraries, "-o", elf.name]
    try:
        run_tool(command, "linking", directory=root)
    except FirmwareError as error:
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
    gcc = find_tool("gcc")
    elf.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{elf.name}-", dir=elf.parent) as temporary:
        root = Path(temporary)
        project.write(root)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            objects = list(
                pool.map(
                    lambda file: _compile(gcc, project, root, file), project.translation_units()
                )
            )
        linked = root / elf.name
        _link(gcc, project, root, objects, linked)
        use = Elf(linked).memory_use(project.board)
        os.replace(linked.with_suffix(".map"), elf.with_suffix(".map"))
        os.replace(linked, elf)
    return use


__all__ = ["build", "compile_flags", "first_error", "link_flags"]
