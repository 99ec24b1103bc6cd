# SPDX-License-Identifier: Apache-2.0
"""Three exported libraries in one foreign CMake project, in C and C++, against the reference."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from converter.runtimes import open_runtime
from converter.tflite import parse
from firmware import export
from firmware.library.library import WARNINGS
from firmware.library.weights import weights_source
from tests.firmware.library import models
from toolchain import host_c

EXAMPLE = Path(export.__file__).parents[1] / "examples" / "two_models"
CALLERS = Path(__file__).with_name("callers.cc")
STRICT = " ".join([*WARNINGS, "-Werror", "-O0"])
LISTS = """\
cmake_minimum_required(VERSION 3.16)
project(foreign LANGUAGES C CXX)
add_subdirectory(two_models)
add_subdirectory(sums)
add_executable(callers callers.cc)
target_compile_features(callers PRIVATE cxx_std_17)
target_link_libraries(callers PRIVATE first second sums)
"""
pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


@dataclasses.dataclass(frozen=True)
class Foreign:
    """The built project."""

    folder: Path
    log: str

    def output(self, program: str, *arguments: str) -> list[str]:
        command = [self.folder / "build" / program, *arguments]
        result = subprocess.run(command, capture_output=True, check=True, text=True)
        return result.stdout.splitlines()


def exported(folder: Path, model: bytes, name: str) -> Path:
    """The library's folder, as the command writes it."""
    file = folder / f"{name}.tflite"
    file.write_bytes(model)
    out = folder / name
    words = [
        "--format=library",
        f"--name={name}",
        f"--out={out}",
        f"--json={folder / 'report.json'}",
    ]
    export.main([f"--model={file}", *words])
    memory = json.loads((folder / "report.json").read_text())["memory"]
    header = (out / "include" / f"{name}.h").read_text()
    assert "for cortex-m7 (-O2, kernels -O3)." in header
    for key in ("arena_bytes", "stack_bytes", "weights_bytes"):
        assert f"#define {name.upper()}_{key.upper()} {memory[key]}u\n" in header
    return out


def images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bytes for the first model, int8 for the second, int8 for the three inputs of the third."""
    rng = np.random.default_rng(5)
    return (
        rng.integers(0, 256, (2, 16, 12, 3)).astype(np.uint8),
        rng.integers(-128, 128, (1, 18, 14, 3)).astype(np.int8),
        rng.integers(-128, 128, (3, 2, 3)).astype(np.int8),
    )


def images_header() -> str:
    lines = ["#pragma once", "#include <cstdint>"]
    for name, stack in zip(("kFirst", "kSecond", "kSums"), images(), strict=True):
        ctype = f"std::{stack.dtype}_t"
        rows = ", ".join(f"{{{', '.join(map(str, x.reshape(-1)))}}}" for x in stack)
        lines.append(f"const {ctype} {name}[{len(stack)}][{stack[0].size}] = {{{rows}}};")
    return "\n".join([*lines, ""])


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    folder = tmp_path_factory.mktemp("foreign project")
    shutil.copytree(EXAMPLE, folder / "two_models")
    exported(folder / "two_models", models.first(), "first")
    exported(folder / "two_models", models.second(), "second")
    exported(folder, models.third(), "sums")
    shutil.copyfile(CALLERS, folder / "callers.cc")
    (folder / "images.h").write_text(images_header())
    (folder / "CMakeLists.txt").write_text(LISTS)
    configure = [
        "cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Debug",
        "-DVIT_KERNEL_OPTIMIZATION=-O0", "-DVIT_MODEL_OPTIMIZATION=-O0",
        f"-DCMAKE_C_FLAGS={STRICT}", f"-DCMAKE_CXX_FLAGS={STRICT}",
    ]  # fmt: skip
    log = ""
    for command in (configure, ["cmake", "--build", "build", "--parallel", "2"]):
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        log += result.stdout + result.stderr
        assert result.returncode == 0, log
    return Foreign(folder, log)


def numbers(line: str) -> list[int]:
    return [int(word) for word in re.findall(r"-?\d+\b", line.split(" ", 1)[1])]


def expected(model: bytes, *inputs: np.ndarray) -> list[list[int]]:
    return [y.reshape(-1).tolist() for y in open_runtime("reference", model).run(*inputs)]


def scaled(pixels: np.ndarray) -> np.ndarray:
    """int8 as every command scales the first model's images."""
    from converter.contract import quantized

    tensor = open_runtime("reference", models.first()).inputs[0]
    real = models.CONTRACT.real(pixels)
    return quantized(real, tensor.scale, tensor.zero_point)


def test_a_library_called_as_kernels_are_is_compiled_like_any_other(tmp_path):
    # The name that an export without --name takes begins like the kernels' headers.
    out = exported(tmp_path, models.third(), "vit_firmware")
    assert '#include "vit_firmware_model.h"' in (out / "src/vit_firmware_model.c").read_text()


def test_interleaved_models_equal_the_reference(foreign):
    bytes_, int8, sums = images()
    lines = foreign.output("callers")
    got = [numbers(line) for line in lines if line.startswith("first ")]
    want = [expected(models.first(), scaled(image)[None])[0] for image in bytes_]
    assert got == want
    best = [line for line in lines if line.startswith("best ")]
    assert best == [f"best {models.NAMES[int(np.argmax(row))]}" for row in want]
    seconds = [numbers(line) for line in lines if line.startswith("second ")]
    assert seconds == 2 * expected(models.second(), int8)
    got = [numbers(line) for line in lines if re.match(r"sums\d ", line)]
    assert got == expected(models.third(), *sums)
    assert "finish 0" in lines
    assert "run 0" in lines
    calls = int(next(line for line in lines if line.startswith("nested ")).split()[1])
    assert calls == len(parse(models.first()).graph.operators)


def test_the_example_is_one_such_project(foreign):
    _, int8, _ = images()
    first = np.random.default_rng(6).integers(-128, 128, (1, 16, 12, 3)).astype(np.int8)
    for name, image in (("a.bin", first), ("b.bin", int8)):
        (foreign.folder / name).write_bytes(image.tobytes())
    paths = [str(foreign.folder / name) for name in ("a.bin", "b.bin")]
    got = foreign.output("two_models/two_models", *paths)
    for line, name, model, image in zip(
        got, ("first", "second"), (models.first(), models.second()), (first, int8), strict=True
    ):
        (want,) = expected(model, image)
        shown = " ".join(map(str, want))
        assert line == f"{name}: class {int(np.argmax(want))} of outputs {shown}"


OK, NULL, ALIGNMENT, ARENA_BYTES, STATE, ORDER, TOO_MANY, TOO_FEW = range(8)
STATUSES = f"""\
not made {STATE}
no state {NULL}
no arena {NULL}
odd arena {ALIGNMENT}
small arena {ARENA_BYTES}
still not made {STATE}
made {OK}
output before {ORDER}
push before begin {ORDER}
invoke before input {ORDER}
begin {OK}
no rows {NULL}
too many {TOO_MANY}
far too many {TOO_MANY}
too few {TOO_FEW}
input {OK}
invoke {OK}
invoke again {ORDER}
output {OK}
no place {NULL}
output after begin {ORDER}
made {OK}
finish before begin {ORDER}
begin {OK}
too many {TOO_MANY}
no rows at all {OK}
too few {TOO_FEW}
made {OK}
one of three {OK}
invoke with one of three {ORDER}
"""


def test_misuse_has_a_status(foreign):
    lines = foreign.output("callers")
    assert lines[: STATUSES.count("\n")] == STATUSES.splitlines()


def test_helpers(foreign):
    lines = foreign.output("callers")[-5:]
    # Scale 0.05, zero point -5.
    assert lines[0] == "quantized -128 -128 -6 -5 -5 -5 -4 127 127"
    output = open_runtime("reference", models.first()).outputs[0]
    assert float(lines[1].split()[1]) == pytest.approx(output.scale * (-128 - output.zero_point))
    assert lines[2] == f"names {models.NAMES[0]}|none"
    assert lines[3] == "names of second none"
    assert re.fullmatch(r"operators 0 \w+\|none", lines[4])


def symbols(archive: Path) -> list[tuple[str, str]]:
    """(type, name) of what an archive's members define for others."""
    command = ["nm", "-g", "--defined-only", archive]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = [line.split() for line in text.splitlines()]
    return [(word[1], word[2]) for word in words if len(word) == 3]


def test_every_symbol_has_the_prefix_and_nothing_is_kept(foreign):
    build = foreign.folder / "build"
    found = {path.stem.removeprefix("lib"): symbols(path) for path in build.rglob("*.a")}
    kernels = [name for name in found if name.startswith("vit_kernels_")]
    assert len(kernels) == 1  # of three libraries
    version = kernels[0].removeprefix("vit_kernels_")
    assert re.fullmatch("[0-9a-f]{8}", version)
    for archive, defined in found.items():
        assert defined
        prefix = f"vit_{version}_" if archive in kernels else f"{archive}_"
        assert [name for _, name in defined if not name.startswith(prefix)] == []
    # Re-entrant: no section that is written, in any object.
    for path in build.rglob("*.a"):
        sizes = subprocess.run(["size", path], capture_output=True, text=True, check=True).stdout
        data = [line.split()[1:3] for line in sizes.splitlines()[1:]]
        assert all(bss == "0" for _, bss in data), path
    written = [n for d in found.values() for kind, n in d if kind in "BbCcSsGg"]
    assert written == []


def test_no_flag_is_imposed_on_the_project(foreign):
    for path in foreign.folder.rglob("CMakeLists.txt"):
        assert "-Werror" not in path.read_text()
        assert "-Wall" not in path.read_text()
    commands = (foreign.folder / "build" / "callers.dir").parent
    flags = (commands / "CMakeFiles" / "callers.dir" / "flags.make").read_text()
    assert "kernels" not in flags  # of includes


def test_nothing_of_this_machine_is_in_the_library(foreign):
    for path in (foreign.folder / "sums").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert str(foreign.folder) not in text
            assert "vit_model" not in text.lower().replace("vit_model_optimization", "")
            assert "@" not in text or path.suffix in (".S", ".md")
            assert "SPDX-License-Identifier: Apache-2.0" in text or path.suffix == ".md"


def test_two_versions_of_the_kernels_are_said(foreign):
    """CMake, its commands that make targets replaced, with kernels of another version there."""
    lists = foreign.folder / "sums" / "CMakeLists.txt"
    made = ("project", "add_library", "set_target_properties", "target_include_directories",
            "target_compile_options", "target_link_libraries")  # fmt: skip
    script = foreign.folder / "versions.cmake"
    stubs = "".join(f"function({name})\nendfunction()\n" for name in made)
    for there, warned in (("", False), ("vit_kernels_01234567", True)):
        head = f"set_property(GLOBAL PROPERTY VIT_KERNELS {there})\n{stubs}"
        script.write_text(head + lists.read_text())
        done = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=True)
        assert ("export all models with one version" in " ".join(done.stderr.split())) == warned


@pytest.mark.parametrize(
    ("external", "define", "section"),
    [(True, "", ".extflash.net_weights"), (False, "", ".rodata"),
     (False, '-DNET_WEIGHTS_SECTION=".mine"', ".mine"),
     (True, '-DNET_WEIGHTS_SECTION=".mine"', ".mine")],
)  # fmt: skip
def test_constants_lie_in_their_section(tmp_path, external, define, section):
    content = bytes(range(256)) * 3
    source = tmp_path / "net_weights.c"
    source.write_text(weights_source("net", "net_model_weights", content, external))
    flags = [*WARNINGS, "-Werror", "-std=c11", *([define] if define else [])]
    object_file = tmp_path / "net_weights.o"
    subprocess.run([host_c().path, *flags, "-c", source, "-o", object_file], check=True)
    out = tmp_path / "section.bin"
    subprocess.run(["objcopy", "-O", "binary", "-j", section, object_file, out], check=True)
    assert out.read_bytes() == content
    shown = subprocess.run(["objdump", "-h", "-j", section, object_file], capture_output=True,
                           text=True, check=True).stdout  # fmt: skip
    alignment = int(re.search(r"2\*\*(\d+)", shown)[1])
    assert alignment >= 4
