# SPDX-License-Identifier: Apache-2.0
"""What an object depends on: all that the compiler reads, and of a model no more than that."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath

from firmware.build_elf import compile_flags
from firmware.included import included
from tests.firmware.fake_model import FakeModel
from toolchain import cross_tool


def of(files: dict[str, str], unit: str = "src/a.c", folders: str = "inc src") -> list[str]:
    content = {PurePosixPath(name): text.encode() for name, text in files.items()}
    places = [PurePosixPath(folder) for folder in folders.split()]
    found = included(PurePosixPath(unit), list(content), places, content.__getitem__)
    return [str(path) for path in found]


def test_names_are_followed_wherever_they_may_lead() -> None:
    files = {
        "src/a.c": '#include "b.h"\n#if 0\n  # include <c.h>\n#endif\n#include <stdint.h>\n',
        "inc/b.h": '#include "deep/d.h"\n',
        "src/b.h": "",
        "inc/c.h": '#include "../src/e.h"\n',
        "inc/deep/d.h": '#include "f.inc"\n',
        "inc/deep/f.inc": "",
        "src/e.h": '#include "b.h"\n',
        "src/other.h": "",
        "inc/other.c": "",
    }
    assert of(files) == [
        "src/a.c", "inc/b.h", "inc/c.h", "inc/deep/d.h", "inc/deep/f.inc", "src/b.h", "src/e.h",
    ]  # fmt: skip


def test_a_name_that_cannot_be_read_off_may_be_any_file() -> None:
    for text in ("#include NAME\n", "#if __has_include(<x.h>)\n#endif\n"):
        assert of({"src/a.c": text, "src/b.h": "", "x.bin": ""}) == ["src/a.c", "src/b.h", "x.bin"]


def test_assembly_reads_files_too() -> None:
    files = {"src/a.c": '.incbin "w.bin"\n  .include "m.S"\n', "inc/w.bin": "", "src/m.S": ""}
    assert of(files) == ["src/a.c", "inc/w.bin", "src/m.S"]


def test_the_compiler_reads_nothing_else(build_fake, tmp_path: Path) -> None:
    project = build_fake(FakeModel()).project
    project.write(tmp_path)
    paths = [file.path for file in project.files]
    gcc, sizes = cross_tool("gcc").path, {}
    for file in project.translation_units():
        folders = project.include_directories(file.group)
        flags = [*compile_flags(project, file), *(f"-I{folder}" for folder in folders)]
        said = subprocess.run(
            [gcc, *flags, "-MM", str(file.path)],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout.replace("\\\n", " ")  # fmt: skip
        read = {os.path.normpath(name) for name in said.split(":", 1)[1].split()}
        found = included(file.path, paths, folders, lambda path: (tmp_path / path).read_bytes())
        assert read <= {str(path) for path in found}, file.path
        sizes[file.path.stem] = len(found)
        if file.path.stem in ("reset", "gpio", "fault", "core"):
            assert not [path for path in found if path.parts[0] == "model"]
    assert sizes["main"] > 3  # headers are found at all
