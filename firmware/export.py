# SPDX-License-Identifier: Apache-2.0
"""`python -m firmware.export`: a firmware project that builds without this toolkit.

    python -m firmware.export --model=fused.tflite --board=stm32f746g_disco --format=cmake --out=fw

The project is built once before anything appears at --out, so that a model that does not fit the
board is an error here and not at the user's desk. --nocheck skips that (no cross compiler needed).
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boards import BOARD_HELP, get_board
from converter.support import verdicts
from converter.tflite import parse
from firmware.build_elf import build
from firmware.command import runtime_flag
from firmware.elf import MemoryUse
from firmware.errors import FirmwareError
from firmware.formats import FORMAT_NAMES, VARIANTS, get_format
from firmware.model import named_model, project_from_model
from firmware.project import Project, check_project_name
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.folders import clean_up, put, working_folder
from tflm_vit.run import run

FLAGS = flags.FlagSet("export", __doc__)
flags.model(FLAGS, "Fused and planned .tflite.")
flags.board(FLAGS, BOARD_HELP, "stm32f746g_disco")
FLAGS.enum("format", "cmake", FORMAT_NAMES, "Build system.")
runtime_flag(FLAGS)
FLAGS.enum("variant", "", VARIANTS, "Variant of --format; legacy is for mbed-tools.")
flags.weights_in(FLAGS)
flags.out(FLAGS, "Folder to make.")
flags.name(FLAGS, "vit_firmware", "Project and executable name.")
flags.overwrite(FLAGS, "Replace --out when it exists.")
FLAGS.boolean("check", True, "Build once before writing, to be sure that it fits.")
flags.json(FLAGS)


def _expect_free(out: Path, overwrite: bool) -> None:
    """FirmwareError when `out` can not become the project's folder."""
    if out.exists() and not out.is_dir():
        raise FirmwareError(f"{out} is a file, expected a folder")
    if out.exists() and not overwrite:
        raise FirmwareError(f"{out} exists; choose another --out or give --overwrite")
    for parent in out.absolute().parents:
        if not parent.exists():
            continue
        if not parent.is_dir():
            raise FirmwareError(f"cannot make {out}: {parent} is a file, expected a folder")
        if not os.access(parent, os.W_OK):
            raise FirmwareError(f"cannot make {out}: no permission to write into {parent}")
        return


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
    out = out.absolute()
    entry = get_format(format_name, variant)
    _expect_free(out, overwrite)
    with working_folder(out) as temporary:
        use = build(project, temporary / "check" / "firmware.elf") if check else None
        folder = temporary / "project"
        folder.mkdir(mode=0o755)
        for file in entry.files(project, use):
            file.write(folder)
        put(folder, out)
    return use


def _export() -> dict[str, Any]:
    name = FLAGS["name"].value
    try:
        check_project_name(name)
    except FirmwareError as error:
        raise FirmwareError(f"--name: {error}") from None
    board = get_board(FLAGS.board)
    out = Path(FLAGS.out)
    clean_up(out.absolute())  # an export that was killed may have left --out away
    _expect_free(out, FLAGS.overwrite)  # Before the work, not after it.
    with working_folder(Path(tempfile.gettempdir()) / "vit-export") as work:
        with named_model(FLAGS.model) as model:
            project = project_from_model(
                model,
                board,
                work,
                weights_in=FLAGS.weights_in,
                name=name,
                runtime=FLAGS.runtime,
            )
            runtimes = verdicts(parse(model).graph)
        check = FLAGS.check
        use = export_project(
            project,
            FLAGS.format,
            out,
            overwrite=FLAGS.overwrite,
            check=check,
            variant=FLAGS.variant,
        )
    return {
        "board": board.name,
        "format": FLAGS.format,
        "variant": FLAGS.variant,
        "runtime": FLAGS.runtime,
        "out": FLAGS.out,
        "files": len(project.files),
        "memory": dataclasses.asdict(use) if use else None,
        "runtimes": [str(entry) for entry in runtimes],
    }


def _print(report: dict[str, Any]) -> None:
    for key, value in (report["memory"] or {}).items():
        print(f"{key.replace('_', ' '):<24}{value:>12,}")
    print("\n".join(report["runtimes"]))
    step = get_format(report["format"], report["variant"]).next_step
    print(f"{report['out']}: {report['format']} project for {report['board']}; {step}")


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
