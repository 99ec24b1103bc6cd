# SPDX-License-Identifier: Apache-2.0
"""Fused `.tflite` -> a project whose model runs in TFLM's interpreter."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path, PurePosixPath

from boards import Board
from firmware.build_elf import build
from firmware.build_flags import FLAGS
from firmware.errors import FirmwareError
from firmware.project import LINKER_SCRIPT, Group, Project, ProjectFile, make_project
from firmware.render import linker_script
from firmware.tflm.model_files import write_model
from firmware.tflm.sources import PROJECT_INCLUDE, operator_files, parser_source
from firmware.tflm.tree import SYSTEM_INCLUDES, TflmTree, find_tree, tree_files

STACK_BYTES = 8192
_SOURCES = Path(__file__).parents[1] / "src" / "tflm"
# The arena is measured on a board with this much memory, whatever the real one has.
_MEASURING_BYTES = 4 * 1024 * 1024


def _own_files() -> list[ProjectFile]:
    files = [
        ProjectFile(PurePosixPath("src/tflm") / origin.name, Group.TFLM, origin=origin)
        for origin in sorted(_SOURCES.iterdir())
    ]
    files += [ProjectFile(path, Group.TFLM, origin=origin) for path, origin in operator_files()]
    return files


def with_tree(project: Project, tree: TflmTree) -> Project:
    """`project` with TFLM's library and the headers that its C++ sources include."""
    with tempfile.TemporaryDirectory(prefix="vit-tflm-") as temporary:
        root = Path(temporary)
        project.write(root)
        sources = [f.path for f in project.translation_units() if f.path.suffix == ".cc"]
        includes = [f"-I{path}" for path in project.include_directories(Group.TFLM)]
        flags = [*FLAGS.cxx, *(f"-D{name}" for name in project.defines), *includes]
        found = tree_files(tree, project.board, root, sources, flags)
    added = tuple(ProjectFile(path, Group.LIBRARY, origin=origin) for path, origin in found)
    return dataclasses.replace(
        project,
        files=(*project.files, *added),
        system_includes=SYSTEM_INCLUDES,
        archives=tuple(file.path for file in added if file.path.suffix == ".a"),
    )


def _collect(
    board: Board, generated: Path, kernels: list[Path], name: str, tree: TflmTree
) -> Project:
    project = make_project(
        board,
        generated,
        [*kernels, parser_source()],
        name=name,
        stack_bytes=max(board.stack_bytes, STACK_BYTES),
        defines=tree.defines,
    )
    project = dataclasses.replace(
        project,
        files=(*project.files, *_own_files()),
        extra_includes=(PROJECT_INCLUDE,),
        flags=dataclasses.replace(project.flags, libraries=("-lm", *project.flags.libraries)),
    )
    return with_tree(project, tree)


def _roomy(board: Board) -> Board:
    regions = tuple(
        dataclasses.replace(region, size_bytes=_MEASURING_BYTES)
        if region.name == board.arena_region
        else region
        for region in board.regions
    )
    return dataclasses.replace(board, regions=regions)


def _arena_used(project: Project, work: Path) -> int:
    """Bytes of the arena that TFLM really takes, plan included: from a run on a roomy board."""
    roomy = _roomy(project.board)
    elf = work / "measure.elf"
    measuring = _for_board(project, roomy)
    build(measuring, elf)
    from firmware.emulator.emulator import Emulator

    emulator = Emulator(roomy, elf)
    emulator.open_window()
    used = emulator.machine.read_u32(emulator.elf.address("vit_model_arena_used_bytes"))
    if used == 0:
        raise FirmwareError(f"TFLM does not set up this model: {emulator.last_line()}")
    return used


def _for_board(project: Project, roomy: Board) -> Project:
    """The same project, linked for another board's memory."""
    files = tuple(
        dataclasses.replace(file, text=linker_script(roomy, STACK_BYTES))
        if file.path == LINKER_SCRIPT
        else file
        for file in project.files
    )
    return dataclasses.replace(project, board=roomy, files=files)


def tflm_project_from_model(
    model: bytes,
    board: Board,
    work: Path,
    kernels: list[Path],
    *,
    external: bool,
    name: str = "vit_firmware",
) -> Project:
    """Collects the project; its arena has exactly the bytes that TFLM takes.

    Args:
      model: a fused and planned `.tflite`.
      board: the board.
      work: keeps the generated files.
      kernels: sources and headers of the kernels.
      external: place the model in the external flash.
      name: project and executable name.

    Raises:
      FirmwareError: TFLM_DIR is unset or has no library for this core, TFLM lacks an operator, or
        refuses the model.
    """
    tree = find_tree(board)
    generated = work / "model"
    plan_bytes = write_model(model, generated, external=external)
    project = _collect(board, generated, kernels, name, tree)
    tail_bytes = _arena_used(project, work) - plan_bytes
    write_model(model, generated, external=external, tail_bytes=tail_bytes)
    return project
