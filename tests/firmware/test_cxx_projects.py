# SPDX-License-Identifier: Apache-2.0
"""Projects with C++ and a static library, which the TFLM runtime makes, without TFLM itself.

The library here adds one; a C++ source with a global object calls it, and the fake model that.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import PurePosixPath

import numpy as np
import pytest

from boards import get_board
from firmware.build_elf import build
from firmware.elf import Elf
from firmware.emulator.emulator import Emulator
from firmware.export import export_project
from firmware.project import Group, ProjectFile, make_project
from tests.firmware import cproject_build, fake_model
from tests.firmware.fake_model import FakeModel
from tests.firmware.test_export import readme_commands, run_commands
from tests.firmware.test_mbed import make_stand_in

BOARD = get_board("stm32f746g_disco")
# As an include path this header would not compile: warnings are errors.
HEADER = "#pragma once\ninline int unused(int parameter) { return 0; }\nint library_value(int x);\n"
LIBRARY = "int library_value(int x) { return x + 1; }\n"
SOURCE = """\
#include "other.h"
#include "library.h"
namespace {
struct Counter {
  Counter() : start(volatile_zero() + OFFSET) {}
  static int volatile_zero() { static volatile int zero = 0; return zero; }
  int start;
};
Counter counter;  // Its constructor has to run before main.
}
extern "C" int own_value(void) { return library_value(counter.start); }
"""
CALL = "extern int own_value(void); if (own_value() != 42) for (;;) {}"
FOLDER = PurePosixPath("tflm")


@pytest.fixture
def project(tmp_path):
    work = tmp_path / "generated"
    model, kernels = fake_model.write(work, FakeModel(operator_zero_prologue=CALL))
    for name, text in (
        ("library.h", HEADER), ("other.h", "#pragma once\n"), ("library.cc", LIBRARY),
        ("own.cc", SOURCE),
    ):  # fmt: skip
        (work / name).write_text(text)
    flags = BOARD.core.compiler_flags()
    command = ["arm-none-eabi-g++", *flags, "-c", "library.cc", "-o", "library.o"]
    subprocess.run(command, cwd=work, check=True)
    subprocess.run(["arm-none-eabi-ar", "rcs", "libadder.a", "library.o"], cwd=work, check=True)
    files = (
        ProjectFile(FOLDER / "own.cc", Group.TFLM, origin=work / "own.cc"),
        ProjectFile(FOLDER / "own/other.h", Group.TFLM, origin=work / "other.h"),
        ProjectFile(FOLDER / "include/library.h", Group.LIBRARY, origin=work / "library.h"),
        ProjectFile(FOLDER / "lib/libadder.a", Group.LIBRARY, origin=work / "libadder.a"),
    )
    plain = make_project(BOARD, model, kernels, name="digits", defines=("OFFSET=41",))
    return dataclasses.replace(
        plain,
        files=(*plain.files, *files),
        extra_includes=(FOLDER / "own",),
        system_includes=(FOLDER / "include",),
        archives=(FOLDER / "lib/libadder.a",),
    )


def classifies(elf):
    image = fake_model.images(1)[0]
    logits = Emulator(BOARD, elf, limit=100_000_000).classify(image).logits
    np.testing.assert_array_equal(logits, fake_model.reference(image))


def test_direct_build(project, tmp_path):
    build(project, tmp_path / "firmware.elf")
    classifies(tmp_path / "firmware.elf")


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake(project, tmp_path):
    out = tmp_path / "out"
    export_project(project, "cmake", out, check=False)
    shutil.rmtree(tmp_path / "generated")
    run_commands(out, readme_commands(out, "Build"))
    classifies(out / "build" / "release" / "digits.elf")


@pytest.mark.parametrize("configuration", ["Debug", "Release"])
def test_cube_ide(project, tmp_path, configuration):
    out = tmp_path / "out"
    export_project(project, "stm32cubeide", out, check=False)
    shutil.rmtree(tmp_path / "generated")
    classifies(cproject_build.build(out, configuration))


def test_cube_ide_files_name_the_cxx_tools(project, tmp_path):
    out = tmp_path / "out"
    export_project(project, "stm32cubeide", out, check=False)
    natures = [e.text for e in ET.parse(out / ".project").getroot().iter("nature")]
    c_nature = natures.index("org.eclipse.cdt.core.cnature")
    assert natures[c_nature + 1] == "org.eclipse.cdt.core.ccnature"
    root = ET.parse(out / ".cproject").getroot()
    identifiers = [e.get("id") for e in root.iter() if e.get("superClass")]
    assert len(identifiers) == len(set(identifiers))
    for name in ("Debug", "Release"):
        read = cproject_build.Configuration(root, name)
        assert read.source_folders() == ["kernels", "model", "src", "tflm"]
        assert read.values("tool.cpp.linker.option.libraries") == [":libadder.a"]
        assert read.values("tool.cpp.linker.option.directories") == ["../tflm/lib"]
        assert "../tflm/own" in read.values("tool.cpp.compiler.option.includepaths")
        others = read.values("tool.cpp.compiler.option.otherflags")
        assert {"-isystem../tflm/include", "-std=c++17"} <= set(others)
        assert "OFFSET=41" in read.values("tool.cpp.compiler.option.definedsymbols")
        # The script is the linker's that links.
        scripts = [o.get("superClass") for o in read.element.iter("option")]
        assert f"{cproject_build.P}.tool.cpp.linker.option.script" in scripts
        assert f"{cproject_build.P}.tool.c.linker.option.script" not in scripts
    # Both compilers of both configurations are known to the indexer.
    known = [e.get("instanceId").split(";") for e in root.iter("scannerConfigBuildInfo")]
    assert len(known) == 4
    assert {tool for *_, tool, source in known if source} <= set(identifiers)
    assert str(tmp_path) not in (out / ".cproject").read_text()


@pytest.mark.skipif(shutil.which("ninja") is None, reason="ninja is not installed")
@pytest.mark.parametrize("layout", ["", "legacy"], ids=["ce", "legacy"])
def test_mbed(project, tmp_path, layout):
    out = tmp_path / "out"
    export_project(project, "mbed", out, check=False, variant=layout)
    shutil.rmtree(tmp_path / "generated")
    make_stand_in(out)
    command = "cmake -S . -B build -GNinja -DMBED_TARGET=DISCO_F746NG -DCMAKE_BUILD_TYPE=Release"
    run_commands(out, [command, "cmake --build build"])
    elf = Elf(next(p for p in (out / "build").iterdir() if p.name in ("digits", "digits.elf")))
    assert elf.has_symbol("own_value")
    assert elf.has_symbol("_Z13library_valuei")
