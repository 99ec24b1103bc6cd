# SPDX-License-Identifier: Apache-2.0
"""`python -m firmware.export`: a firmware project that builds without this toolkit.

    python -m firmware.export --model=fused.tflite --board=stm32f746g_disco --format=cmake --out=fw

The project is built once before anything appears at --out, so that a model that does not fit the
board is an error here and not at the user's desk. --nocheck skips that (no cross compiler needed).
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from absl import app, flags

from boards import BOARD_HELP, get_board
from firmware.build import build
from firmware.elf import MemoryUse
from firmware.errors import FirmwareError
from firmware.formats import FORMAT_NAMES, LAYOUTS, get_format
from firmware.model import RUNTIMES, WEIGHTS, named_model, project_from_model
from firmware.project import Project, check_project_name
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run


def _expect_free(out: Path, force: bool) -> None:
    """FirmwareError when `out` can not become the project's folder."""
    if out.exists() and not out.is_dir():
        raise FirmwareError(f"{out} is a file, expected a folder")
    if out.exists() and not force:
        raise FirmwareError(f"{out} exists; choose another --out or give --force")
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
    force: bool = False,
    check: bool = True,
    layout: str = "",
) -> MemoryUse | None:
    """Writes `project` for a build system to the folder `out`.

    Args:
      project: from `firmware.project` or `firmware.model`.
      format_name: one of `FORMAT_NAMES`.
      out: folder to make; its parent is made when missing.
      force: replace `out` when it exists.
      check: build the project first.
      layout: variant of the format, e.g. `legacy` for mbed-tools.

    Returns:
      Sizes of the image, or None without `check`.

    Raises:
      FirmwareError: `out` exists, the project's name is none for a build system, or the project
        does not build or fit.
    """
    check_project_name(project.name)
    out = out.absolute()
    entry = get_format(format_name, layout)
    _expect_free(out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        use = build(project, Path(temporary) / "check" / "firmware.elf") if check else None
        folder = Path(temporary) / "project"
        folder.mkdir(mode=0o755)
        for file in entry.files(project, use):
            file.write(folder)
        if out.exists():
            os.replace(out, Path(temporary) / "replaced")
        os.replace(folder, out)
    return use


def _export(values: dict[str, Any]) -> dict[str, Any]:
    for name in ("model", "out"):
        if not values[name]:
            raise FirmwareError(f"--{name} is missing")
    name = values["name"]
    try:
        check_project_name(name)
    except FirmwareError as error:
        raise FirmwareError(f"--name: {error}") from None
    board = get_board(values["board"])
    out = Path(values["out"])
    _expect_free(out, values["force"])  # Before the work, not after it.
    work = Path(tempfile.mkdtemp(prefix="vit-export-"))
    try:
        with named_model(values["model"]) as model:
            project = project_from_model(
                model,
                board,
                work,
                weights=values["weights"],
                name=name,
                runtime=values["runtime"],
            )
        check = values["check"]
        use = export_project(
            project,
            values["format"],
            out,
            force=values["force"],
            check=check,
            layout=values["layout"],
        )
    finally:
        shutil.rmtree(work)
    return {
        "board": board.name,
        "format": values["format"],
        "layout": values["layout"],
        "runtime": values["runtime"],
        "out": values["out"],
        "files": len(project.files),
        "memory": dataclasses.asdict(use) if use else None,
    }


def _print(report: dict[str, Any]) -> None:
    for key, value in (report["memory"] or {}).items():
        print(f"{key.replace('_', ' '):<24}{value:>12,}")
    step = get_format(report["format"], report["layout"]).next_step
    print(f"{report['out']}: {report['format']} project for {report['board']}; {step}")


def _body() -> None:
    values = flags.FLAGS.flag_values_dict()
    expect_writable(values["json"])
    report = _export(values)
    if values["json"]:
        write_json(values["json"], report)
    _print(report)


def main(argv: list[str]) -> None:
    """Entry point."""
    run("export", argv, _body, (FirmwareError,))


def _define_flags() -> None:
    flags.DEFINE_string("model", "", "Fused and planned .tflite.")
    flags.DEFINE_string("board", "stm32f746g_disco", BOARD_HELP)
    flags.DEFINE_enum("format", "cmake", FORMAT_NAMES, "Build system.")
    flags.DEFINE_enum("runtime", "compiled", RUNTIMES, "What runs the model; tflm needs TFLM_DIR.")
    flags.DEFINE_enum("layout", "", LAYOUTS, "Variant of the format; legacy is for mbed-tools.")
    flags.DEFINE_enum("weights", "auto", WEIGHTS, "Where the weights go.")
    flags.DEFINE_string("out", "", "Folder to make.")
    flags.DEFINE_string("name", "vit_firmware", "Project and executable name.")
    flags.DEFINE_bool("force", False, "Replace --out when it exists.")
    flags.DEFINE_bool("check", True, "Build once before writing, to be sure that it fits.")
    flags.DEFINE_string("json", "", "Write the report to this file.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
