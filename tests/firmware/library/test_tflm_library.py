# SPDX-License-Identifier: Apache-2.0
"""A library over TFLM, without TFLM: its header, its CMake, and its C against a fake interpreter.

What it computes needs TFLM's sources: test_tflm_library_real.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tflm_custom_ops
from boards import get_board
from converter.plan import plan_model, read_plan
from firmware.errors import FirmwareError, ModelError
from firmware.export import export_library
from firmware.formats import LIBRARY_FORMATS, get_library_format
from firmware.library import Library, library_from_model, tflm_library_from_model
from firmware.library.library import WARNINGS, functions
from firmware.tflm.embedded import embedded_of
from tests.converter.compile import fused_models
from tests.converter.compile.test_interface import sums
from tests.firmware.library import models
from tflm_custom_ops.ops import BY_CODE
from toolchain import host_c, host_cxx

BOARD = get_board("stm32f746g_disco")
FAKE = Path(__file__).with_name("fake_tflm")
ABI = Path(tflm_custom_ops.__file__).parent / "tflm" / "abi"
KERNELS_SHARED = ("kernels", "tflm")


def made(name: str) -> Library:
    return tflm_library_from_model(getattr(models, name)(), name, BOARD, check=False)


def text_of(library: Library, path: str) -> str:
    return next(file.text for file in library.files if str(file.path) == path)


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_the_header_is_that_of_the_compiled_library_and_what_tflm_needs(name):
    library = made(name)
    compiled = library_from_model(getattr(models, name)(), name, BOARD, check=False)
    header, other = (text_of(each, f"include/{name}.h") for each in (library, compiled))
    own = {f"{name}_arena_used"}
    assert set(functions(header, name)) == {*functions(other, name), *own}
    upper = name.upper()
    numbers = rf"^#define ({upper}_\w+) (.*)$"
    mine, theirs = (dict(re.findall(numbers, text, re.M)) for text in (header, other))
    differ = {key for key in theirs if mine[key] != theirs[key]}
    assert differ == {f"{upper}_{key}" for key in ("ARENA_BYTES", "WEIGHTS_BYTES", "WEIGHTS_CRC32")}
    statuses = [
        re.findall(rf"({upper}_(?:OK|ERROR_\w+)) = (\d+)", text) for text in (header, other)
    ]
    assert statuses[0][: len(statuses[1])] == statuses[1]
    assert [int(value) for _, value in statuses[0]] == list(range(14))
    arena = [int(value) for value in re.findall(rf"{upper}_ARENA_BYTES (\d+)u", header)]
    planned = read_plan(getattr(models, name)()).arena_bytes
    assert arena[0] - planned == 2 * (arena[1] - planned) > 0  # pointers of 64 bits, then of 32
    assert all(each % 16 == 0 for each in arena)
    assert "guessed: it was not measured (--nocheck)" in header
    assert f"{upper}_STACK_BYTES" not in header.split("-fstack")[1]


def test_the_file_its_plan_and_its_operators_are_in_the_source():
    library = made("first")
    model = models.first()
    weights = text_of(library, "src/first_weights.c")
    body = weights.split("= {\n")[1].split("\n};")[0].replace("\n", "")
    assert bytes(int(value) for value in body.split(",")) == model
    source = text_of(library, "src/first_model.cc")
    version = library.facts.kernels
    registered = re.findall(r'AddCustom\("(\w+)", (\w+)::Register(\w+)\(\)', source)
    names = ["VitAttention", "VitLayerNorm", "VitLinear", "VitMlp", "VitPatchEmbed"]
    assert registered == [(name, f"tflm_vit_{version}", name) for name in names]
    words = [int(w) for w in source.split("kPlan[")[1].split("{")[1].split("}")[0].split(",")[:-1]]
    assert tuple(words) == embedded_of(model, read_plan(model)).words


def test_tflm_plans_where_a_builtin_may_want_scratch():
    source = text_of(made("third"), "src/third_model.cc")
    assert "resolver->AddAdd()" in source
    assert "third_model_weights, nullptr, 0," in source
    assert "TFLM plans, by the offsets in the file." in source


def test_all_names_have_a_prefix_of_the_version():
    library = made("second")
    version = library.facts.kernels
    for file in library.files:
        if file.path.parts[0] not in KERNELS_SHARED:
            continue
        code = re.sub(r'"[^"\n]*"|//[^\n]*', "", file.text)
        assert not re.findall(rf"\b(?:vit_|tflm_vit\b)(?!{version})\w*", code), file.path
        for header in re.findall(r'#include "([^"]*)"', file.text):
            beside = str(file.path.parent / header)
            known = {str(f.path) for f in library.files}
            inside = re.sub(r"\w+/\.\./", "", beside) in known
            assert inside or header.startswith("tensorflow/"), (file.path, header)


def places(library: Library, name: str) -> str:
    embedded = library.facts.engine.embedded
    upper = name.upper()
    lines = [
        f'#include "{name}.h"',
        f"#define NAME(x) {name}_##x",
        f"#define UPPER(x) {upper}_##x",
        f"#define PLACE_INPUT {embedded.inputs[0].offset}",
        f"#define PLACE_INPUT_BYTES {embedded.inputs[0].size_bytes}",
        f"#define PLACE_OUTPUT {embedded.outputs[0].offset}",
        f"#define PLACE_RUNS {max(1, len(embedded.strips))}",
    ]
    return "\n".join([*lines, ""])


def operators(library: Library) -> str:
    codes = " ".join(f"OPERATOR({code})" for code in BY_CODE)
    return (
        f"#define TFLM_NAMESPACE tflm_vit_{library.facts.kernels}\n#define OPERATORS {codes}\n"
        '#include "../tflm/vit_tflm_ops.h"\n'
    )


def fake_program(library: Library, name: str, folder: Path) -> Path:
    """The library's own files and the interpreter's set-up, strictly compiled, on the fake TFLM."""
    for file in library.files:
        file.write(folder)
    (folder / "places.h").write_text(places(library, name))
    (folder / "src" / "vit_names.h").write_text(operators(library))
    places_ = ["include", ".", "src"]
    flags = [*WARNINGS, "-Werror", "-O1", *(f"-I{folder / place}" for place in places_)]
    fake = [f"-isystem{FAKE}", f"-isystem{ABI}", "-DTF_LITE_STATIC_MEMORY"]
    cxx = [host_cxx().path, *flags, *fake, "-std=c++17", "-fno-rtti", "-fno-exceptions"]
    objects = []
    own = [folder / "src" / f"{name}{end}" for end in (".c", "_weights.c", "_model.cc")]
    shared = [folder / "tflm" / f"{n}.cc" for n in ("model_interpreter", "planned_memory_planner")]
    for source in (*own, *shared, FAKE / "callers.cc", FAKE / "fake_tflm.cc"):
        base = cxx if source.suffix == ".cc" else [host_c().path, *flags, "-std=c11"]
        objects.append(str(folder / f"{source.name}.o"))
        subprocess.run([*base, "-c", str(source), "-o", objects[-1]], check=True)
    program = folder / "callers"
    subprocess.run([*cxx, *objects, "-o", str(program)], check=True)
    return program


def runs_of(model: bytes, image: np.ndarray) -> list[np.ndarray]:
    """What each run of the interpreter is given of an image: uint8 [rows, bytes]."""
    strips = embedded_of(model, read_plan(model)).strips
    return [image[s.first_row : s.first_row + s.rows] for s in strips] or [image]


@pytest.mark.parametrize("name", ["first", "second"])
def test_each_failure_of_tflm_is_a_status_and_the_image_arrives(tmp_path, name):
    library = made(name)
    lines = subprocess.run(
        [fake_program(library, name, tmp_path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert lines[:2] == ["init 0", "used before 5"]
    failures = [9, 10, 11, 12, 12, 12, 13]
    assert lines[2:23] == [
        line for status in failures for line in (f"failing {status}", "output 5", "finish 5")
    ]
    assert lines[23:27] == ["begin 0", "used nowhere 1", "used 0", "enough 1"]
    rest = [line for line in lines[27:] if not line.startswith("seen ")]
    image = library.facts.interface.image
    size = (image.height, image.width * image.channels)
    values = (np.arange(size[0] * size[1]) * 7 % 251).astype(np.uint8).reshape(size)
    runs = runs_of(getattr(models, name)(), values)
    once = ["infer 0", "made 1", f"events {2 * len(runs)}", "output 0", "best 0",
            f"class {image.classes - 1}"]  # fmt: skip
    assert rest == [*once, *once, *once, "used after 5", "large 0", "infer 0"]
    seen = [list(map(int, line.split()[1:])) for line in lines if line.startswith("seen ")]
    capacity = library.facts.engine.embedded.inputs[0].size_bytes
    for each in seen:
        for index, run in enumerate(runs):  # a strip at the image's edge fills the input in part
            got = each[index * capacity : index * capacity + run.size]
            assert got == run.reshape(-1).tolist()


def test_the_operators_compile_strictly(tmp_path):
    library = made("second")
    for file in library.files:
        file.write(tmp_path)
    flags = [*WARNINGS, "-Werror", "-std=c++17", "-fsyntax-only", "-DTF_LITE_STATIC_MEMORY"]
    sources = sorted(tmp_path.glob("tflm/vit_*.cc"))
    assert len(sources) == len(BY_CODE)
    both = tmp_path / "all.cc"
    both.write_text("".join(f'#include "{path}"\n' for path in (sources[0], sources[-1])))
    command = [host_cxx().path, *flags, f"-isystem{FAKE}", f"-isystem{ABI}", str(both)]
    subprocess.run(command, check=True)
    c = [host_c().path, *WARNINGS, "-Werror", "-std=c11", "-fsyntax-only"]
    subprocess.run([*c, tmp_path / "tflm" / "vit_parse.c"], check=True)


def cmake_script(folder: Path, tree: Path | None, stubs: str = "", *, ok: bool = True) -> list[str]:
    """What tensorflow.cmake does with a tree: its calls, and its messages."""
    library = made("second")
    text = next(
        f.text for f in get_library_format("library").files(library)
        if f.path.name == "tensorflow.cmake"
    )  # fmt: skip
    calls = "".join(
        f'function({name})\n  list(JOIN ARGV " " all)\n  message("{name} ${{all}}")\n'
        "endfunction()\n"
        for name in ("add_library", "target_link_libraries", "target_include_directories",
                     "target_compile_definitions", "target_compile_options",
                     "set_target_properties")
    )  # fmt: skip
    script = folder / "script.cmake"
    head = f"set(CMAKE_HOST_SYSTEM_NAME Linux)\nset(CMAKE_CROSSCOMPILING {stubs and 'ON'})\n{stubs}"
    where = "" if tree is None else f"set(TFLM_DIR {tree})\n"
    script.write_text(head + where + calls + text)
    done = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == ok, done.stderr
    return (done.stdout + done.stderr).splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    shutil.copytree(FAKE, root)
    for part in ("flatbuffers/include", "gemmlowp", "ruy"):
        (root / "third_party" / part).mkdir(parents=True)
    return root


def with_library(tree: Path, folder: str) -> Path:
    path = tree / "gen" / folder / "lib" / "libtensorflow-microlite.a"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    return path


needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


@needs_cmake
def test_cmake_says_what_is_missing(tmp_path, tree, monkeypatch):
    monkeypatch.delenv("TFLM_DIR", raising=False)
    said = " ".join(" ".join(cmake_script(tmp_path, None, ok=False)).split())
    assert "expected a tree of TensorFlow Lite Micro" in said
    assert "-DTFLM_DIR=..." in said
    shutil.rmtree(tree / "third_party" / "ruy")
    said = " ".join(" ".join(cmake_script(tmp_path, tree, ok=False)).split())
    assert "has no ruy: let TFLM's Makefile fetch it" in said


@needs_cmake
def test_cmake_takes_the_library_of_the_core(tmp_path, tree):
    host = with_library(tree, "linux_x86_64_default_gcc")
    m4 = with_library(tree, "cortex_m_generic_cortex-m4+fp_release_gcc")
    m7 = with_library(tree, "cortex_m_generic_cortex-m7+fp_default_gcc")

    def linked(stubs: str = "") -> str:
        lines = cmake_script(tmp_path, tree, stubs)
        return next(line.split()[-1] for line in lines if "lib/libtensorflow" in line and
                    line.startswith("target_link_libraries"))  # fmt: skip

    assert linked() == str(host)
    assert linked('set(CMAKE_C_FLAGS "-mcpu=cortex-m7 -mthumb")\n') == str(m7)
    assert linked('set(CMAKE_C_FLAGS "-mcpu=cortex-m4")\n') == str(m4)
    lines = cmake_script(tmp_path, tree, 'set(CMAKE_C_FLAGS "-mcpu=cortex-m4")\n')
    assert any("TF_LITE_STRIP_ERROR_STRINGS" in line for line in lines)
    said = " ".join(cmake_script(tmp_path, tree, "set(CMAKE_C_FLAGS -mthumb)\n", ok=False))
    assert "several libraries for this core" in said
    assert linked(f"set(CMAKE_C_FLAGS -mthumb)\nset(TFLM_LIBRARY {m7})\n") == str(m7)


@needs_cmake
def test_cmake_compiles_tflm_where_there_is_no_library_for_the_core(tmp_path, tree):
    micro = tree / "tensorflow" / "lite" / "micro"
    for name in ("micro_log.cc", "micro_log_test.cc", "test_helpers.cc", "fake_micro_context.cc"):
        (micro / name).write_text("")
    with_library(tree, "linux_x86_64_default_gcc")
    lines = cmake_script(tmp_path, tree, 'set(CMAKE_C_FLAGS "-mcpu=cortex-m3")\n')
    (made_,) = [line for line in lines if line.startswith("add_library") and "STATIC" in line]
    sources = [Path(word).name for word in made_.split()[3:]]
    assert sources == ["micro_log.cc"]


def test_other_formats_and_models_are_refused(tmp_path, monkeypatch):
    model = models.second()
    for entry in LIBRARY_FORMATS:
        if entry.name == "library":
            continue
        with pytest.raises(FirmwareError, match="use --format=library for --runtime=tflm"):
            export_library(model, BOARD, entry.name, tmp_path / "out", name="net", runtime="tflm")
    monkeypatch.delenv("TFLM_DIR", raising=False)
    with pytest.raises(FirmwareError, match="--runtime=tflm needs TFLM_DIR"):
        export_library(model, BOARD, "library", tmp_path / "out", name="net", runtime="tflm")
    unplanned = fused_models.model_bytes(fused_models.vit_ops())
    with pytest.raises(ModelError, match="plan"):
        tflm_library_from_model(unplanned, "net", BOARD, check=False)
    assert not (tmp_path / "out").exists()


def test_an_exported_folder_without_tflm(tmp_path):
    out = tmp_path / "out"
    export_library(plan_model(sums()).model_bytes, BOARD, "library", out, name="sums",
                   runtime="tflm", check=False)  # fmt: skip
    readme = (out / "README.md").read_text()
    assert "| `ADD` | of TFLM |" in readme
    assert "not measured" in readme
    lists = (out / "CMakeLists.txt").read_text()
    assert "LANGUAGES C CXX ASM" in lists
    assert "fingerprint" not in lists.lower().replace("file(sha256", "")
    assert (out / "tflm" / "tensorflow.cmake").is_file()
