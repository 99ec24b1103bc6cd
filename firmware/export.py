# SPDX-License-Identifier: Apache-2.0
"""`python -m firmware.export`: a firmware project that builds without this toolkit.

    python -m firmware.export --model=fused.tflite --board=stm32f746g_disco --format=cmake --out=fw

The project is built once before anything appears at --out, so that a model that does not fit the
board is an error here and not at the user's desk. --nocheck skips that (no cross compiler needed).

--format=library makes C for somebody's own firmware instead, whose names all begin with --name;
with --runtime=tflm the model runs in TensorFlow Lite Micro's interpreter, behind the same header:

    python -m firmware.export --model=fused.tflite --format=library --name=digits --out=digits
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boards import BOARD_HELP, Board, get_board
from converter.support import verdicts
from converter.tflite import parse
from firmware.build_elf import build
from firmware.command import harness_flag, runtime_flag, timestamp_pin_flag
from firmware.elf import MemoryUse
from firmware.errors import FirmwareError
from firmware.formats import (
    FORMAT_NAMES,
    VARIANTS,
    get_format,
    get_library_format,
)
from firmware.library import (
    Library,
    check_library_name,
    library_from_model,
    tflm_library_from_model,
)
from firmware.model import (
    RUNTIME_COMPILED,
    RUNTIME_TFLM,
    WEIGHTS_AUTO,
    WEIGHTS_EXTERNAL,
    named_model,
    project_from_model,
)
from firmware.place import expect_free
from firmware.project import Project, check_project_name
from tflm_vit import flags
from tflm_vit.files import expect_writable, followed, write_json
from tflm_vit.folders import clean_up, put, working_folder
from tflm_vit.run import run

FLAGS = flags.FlagSet("export", __doc__)
flags.model(FLAGS, "Fused and planned .tflite.")
flags.board(FLAGS, BOARD_HELP, "stm32f746g_disco")
FLAGS.enum("format", "cmake", FORMAT_NAMES, "Build system.")
runtime_flag(FLAGS)
harness_flag(FLAGS)
timestamp_pin_flag(FLAGS)
FLAGS.enum("variant", "", VARIANTS, "Variant of --format; legacy is for mbed-tools.")
flags.weights_in(FLAGS)
flags.out(FLAGS, "Folder to make.")
flags.name(FLAGS, "vit_firmware", "Project and executable name.")
flags.overwrite(FLAGS, "Replace --out when it exists.")
FLAGS.boolean("check", True, "Build once before writing, to be sure that it fits.")
flags.json(FLAGS)


def export_project(
    project: Project,
    format_name: str,
    out: Path,
    *,
    overwrite: bool = False,
    check: bool = True,
    variant: str = "",
) -> MemoryUse | None:
    """Writes `project` for a build system to the folder `out`.

    Args:
      project: from `firmware.project` or `firmware.model`.
      format_name: one of `FORMAT_NAMES`.
      out: folder to make; its parent is made when missing.
      overwrite: replace `out` when it exists.
      check: build the project first.
      variant: of the format, e.g. `legacy` for mbed-tools.

    Returns:
      Sizes of the image, or None without `check`.

    Raises:
      FirmwareError: `out` exists, the project's name is none for a build system, or the project
        does not build or fit.
    """
    check_project_name(project.name)
    out = Path(followed(out.absolute()))
    entry = get_format(format_name, variant)
    expect_free(out, overwrite)
    with working_folder(out) as temporary:
        use = build(project, temporary / "check" / "firmware.elf") if check else None
        folder = temporary / "project"
        folder.mkdir(mode=0o755)
        for file in entry.files(project, use):
            file.write(folder)
        put(folder, out)
    return use


def export_library(
    model: bytes,
    board: Board,
    format_name: str,
    out: Path,
    *,
    name: str,
    variant: str = "",
    runtime: str = RUNTIME_COMPILED,
    weights_in: str = WEIGHTS_AUTO,
    overwrite: bool = False,
    check: bool = True,
) -> Library:
    """Writes a library of a fused and planned `.tflite` to the folder `out`.

    Args:
      model: the file.
      board: for whose core the stack is measured.
      format_name: one of `LIBRARY_FORMATS`.
      out: folder to make.
      name: prefix of all symbols.
      variant: as projects have it; libraries have the default only.
      runtime: `compiled`, or `tflm` for CMake.
      weights_in: `external` places the constants in a section of their own.
      overwrite: replace `out` when it exists.
      check: compile the library, and measure its stack; with `tflm` its arena as well.

    Raises:
      FirmwareError: `out` exists, or see `library_from_model` and `tflm_library_from_model`.
    """
    entry = get_library_format(format_name)
    if entry is None:
        raise FirmwareError(f"--format={format_name} makes a project, expected a library's")
    if variant:
        raise FirmwareError(f"--format={format_name} has no variant {variant!r}")
    if runtime not in entry.runtimes:
        raise FirmwareError(
            f"--format={format_name} has the compiled runtime only; use --format=library for "
            f"--runtime={runtime}"
        )
    out = Path(followed(out.absolute()))
    expect_free(out, overwrite)
    external = weights_in == WEIGHTS_EXTERNAL
    make = tflm_library_from_model if runtime == RUNTIME_TFLM else library_from_model
    library = make(
        model, name, board, external=external, check=check, optimization=entry.optimization
    )
    with working_folder(out) as temporary:
        folder = temporary / "library"
        folder.mkdir(mode=0o755)
        for file in entry.files(library):
            file.write(folder)
        put(folder, out)
    return library


def _check_name(*, library: bool) -> None:
    try:
        (check_library_name if library else check_project_name)(FLAGS["name"].value)
    except FirmwareError as error:
        raise FirmwareError(f"--name: {error}") from None


def _export_library(out: Path) -> dict[str, Any]:
    if FLAGS.harness:
        raise FirmwareError(f"--format={FLAGS.format} is no application: leave --harness out")
    if FLAGS.timestamp_pin:
        raise FirmwareError("--timestamp_pin goes with --harness: leave it out")
    board = get_board(FLAGS.board)
    with named_model(FLAGS.model) as model:
        library = export_library(
            model,
            board,
            FLAGS.format,
            out,
            name=FLAGS["name"].value,
            variant=FLAGS.variant,
            runtime=FLAGS.runtime,
            weights_in=FLAGS.weights_in,
            overwrite=FLAGS.overwrite,
            check=FLAGS.check,
        )
        runtimes = verdicts(parse(model).graph)
    facts = library.facts
    memory = {
        "arena_bytes": facts.interface.arena_bytes,
        "stack_bytes": facts.stack.size_bytes if facts.stack else None,
        "weights_bytes": facts.weights_bytes,
        "code_bytes": library.code_bytes,
    }
    return {
        "board": board.name,
        "files": len(library.files),
        "memory": {key: value for key, value in memory.items() if value is not None},
        "runtimes": [str(v) for v in runtimes],
        "left_out": facts.said.left_out,
    }


def _export_project(out: Path) -> dict[str, Any]:
    board = get_board(FLAGS.board)
    with working_folder(Path(tempfile.gettempdir()) / "vit-export") as work:
        with named_model(FLAGS.model) as model:
            project = project_from_model(
                model,
                board,
                work,
                weights_in=FLAGS.weights_in,
                name=FLAGS["name"].value,
                runtime=FLAGS.runtime,
                harness=FLAGS.harness,
                timestamp_pin=FLAGS.timestamp_pin,
            )
            runtimes = verdicts(parse(model).graph)
        use = export_project(
            project,
            FLAGS.format,
            out,
            overwrite=FLAGS.overwrite,
            check=FLAGS.check,
            variant=FLAGS.variant,
        )
    return {
        "board": board.name,
        "files": len(project.files),
        "memory": dataclasses.asdict(use) if use else None,
        "runtimes": [str(entry) for entry in runtimes],
    }


def _export() -> dict[str, Any]:
    is_library = get_library_format(FLAGS.format) is not None
    _check_name(library=is_library)
    out = Path(followed(FLAGS.out))
    clean_up(out.absolute())  # an export that was killed may have left --out away
    expect_free(out, FLAGS.overwrite)  # Before the work, not after it.
    found = _export_library(out) if is_library else _export_project(out)
    return {
        "board": found["board"],
        "format": FLAGS.format,
        "variant": FLAGS.variant,
        "runtime": FLAGS.runtime,
        "out": FLAGS.out,
        **{key: found[key] for key in ("files", "memory", "runtimes")},
        **({"left_out": found["left_out"]} if found.get("left_out") else {}),
    }


def _print(report: dict[str, Any]) -> None:
    for key, value in (report["memory"] or {}).items():
        print(f"{key.replace('_', ' '):<24}{value:>12,}")
    print("\n".join(report["runtimes"]))
    if report.get("left_out"):
        print(
            f"not in the header: {' and '.join(report['left_out'])}, which it has for one int8 "
            "image and one int8 output (--int8_io of converter.fuse)"
        )
    entry = get_library_format(report["format"])
    step = (entry or get_format(report["format"], report["variant"])).next_step
    what = f"{'project' if entry is None else 'sources, measured'} for {report['board']}"
    if entry is not None and not FLAGS.check:
        what = "sources, not measured (--nocheck)"
    print(f"{report['out']}: {report['format']} {what}; {step}")


def _body() -> None:
    expect_writable(FLAGS.json)
    report = _export()
    if FLAGS.json:
        write_json(FLAGS.json, report)
    _print(report)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
