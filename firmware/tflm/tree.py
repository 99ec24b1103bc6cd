# SPDX-License-Identifier: Apache-2.0
"""TFLM's own tree: its library for a core, and the headers that a project includes of it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
from pathlib import Path, PurePosixPath

from boards import Board
from firmware.errors import FirmwareError
from toolchain import cross_tool, raised_as

ENVIRONMENT = "TFLM_DIR"
DEFINES = ("TF_LITE_STATIC_MEMORY",)
_INCLUDE = PurePosixPath("tflm/include")
_LIBRARY = PurePosixPath("tflm/lib/libtensorflow-microlite.a")
# What TFLM keeps in an arena follows from the classes in these.
FINGERPRINT_HEADERS = tuple(
    f"tensorflow/lite/{name}"
    for name in (
        "core/c/common.h",
        "micro/micro_allocator.h",
        "micro/micro_graph.h",
        "micro/micro_interpreter.h",
        "micro/micro_interpreter_context.h",
        "micro/micro_mutable_op_resolver.h",
    )
)
SYSTEM_INCLUDES = tuple(_INCLUDE / name for name in ("tflm", "flatbuffers", "gemmlowp", "ruy"))


@dataclasses.dataclass(frozen=True)
class TflmTree:
    """A TFLM tree with a library for one core."""

    root: Path
    library: Path

    @property
    def defines(self) -> tuple[str, ...]:
        """Macros that the library was compiled with; TFLM's build has its kind in the folder."""
        if "_release" in self.library.parts[-3]:
            return (*DEFINES, "TF_LITE_STRIP_ERROR_STRINGS", "NDEBUG")
        return DEFINES

    def fingerprint(self) -> str:
        """SHA-256 of those of the headers together; CMake computes it again."""
        paths = (self.root / name for name in FINGERPRINT_HEADERS)
        each = (hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
        return hashlib.sha256("".join(each).encode()).hexdigest()

    def include_roots(self) -> tuple[tuple[PurePosixPath, Path], ...]:
        """(folder in the project, folder in the tree) of each include path."""
        downloads = self.root / "tensorflow/lite/micro/tools/make/downloads"
        folders = (
            self.root,
            downloads / "flatbuffers" / "include",
            downloads / "gemmlowp",
            downloads / "ruy",
        )
        return tuple(zip(SYSTEM_INCLUDES, folders, strict=True))


def find_tree(board: Board) -> TflmTree:
    """The tree that TFLM_DIR names, with its library for the board's core.

    Raises:
      FirmwareError: TFLM_DIR is unset, or has no library for this core.
    """
    value = os.environ.get(ENVIRONMENT, "")
    if not value:
        raise FirmwareError(
            f"--runtime=tflm needs {ENVIRONMENT}: a TFLM tree whose own build made "
            f"libtensorflow-microlite.a for {board.core.name}"
        )
    root = Path(value).absolute()
    pattern = f"gen/cortex_m_generic_{board.core.name}*/lib/libtensorflow-microlite.a"
    libraries = sorted(root.glob(pattern))
    if not libraries:
        raise FirmwareError(
            f"{ENVIRONMENT}={root} has no {pattern}; build it there with TFLM's Makefile "
            "(TARGET=cortex_m_generic)"
        )
    return TflmTree(root, libraries[0])


def _dependencies(command: list[str], folder: Path) -> list[Path]:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise FirmwareError(
            f"TFLM's headers do not compile: {result.stderr.splitlines()[0]}", result.stderr
        )
    names = result.stdout.replace("\\\n", " ").split(":", 1)[1].split()
    return [Path(os.path.normpath(folder / name)) for name in names]


def tree_files(
    tree: TflmTree, board: Board, folder: Path, sources: list[PurePosixPath], flags: list[str]
) -> list[tuple[PurePosixPath, Path]]:
    """The library and exactly the headers of TFLM that the sources include.

    Args:
      tree: from `find_tree`.
      board: for the core's flags.
      folder: a written project, still without TFLM's headers.
      sources: the C++ files in it.
      flags: include paths and language flags.
    """
    roots = tree.include_roots()
    system = [f"-isystem{path}" for _, path in roots]
    with raised_as(lambda error: FirmwareError(str(error))):
        gxx = cross_tool("g++")
    base = [gxx.path, *board.core.compiler_flags(), *flags, *system, "-M"]
    found: dict[PurePosixPath, Path] = {}
    for source in sources:
        for path in _dependencies([*base, str(source)], folder):
            # The downloads lie inside the tree: the longest root that matches is the right one.
            inside = [(target, root) for target, root in roots if path.is_relative_to(root)]
            if inside:
                target, root = max(inside, key=lambda entry: len(str(entry[1])))
                found[target / path.relative_to(root).as_posix()] = path
    return [(_LIBRARY, tree.library), *sorted(found.items())]
