# SPDX-License-Identifier: Apache-2.0
"""The ABI check: right wheel, right library, right struct layout, or one clear error."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import shutil
import subprocess

import pytest

from converter.runtimes.tflm import abi, abi_check, abi_probe, build, interpreter, library
from converter.runtimes.tflm.errors import TflmAbiError, TflmBuildError
from toolchain import VARIABLE


def test_probe_passes_on_the_locked_wheel() -> None:
    assert importlib.metadata.version("tflite-micro") in abi.tested()
    abi_probe.run_probe(library.operator_library().path)


def test_no_wheel_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def metadata_version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", metadata_version)
    with pytest.raises(TflmAbiError, match="none is installed; run: pip install tflite-micro=="):
        interpreter.TflmInterpreter(b"not even looked at")


def test_the_layout_is_what_the_probe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its mark: the wrong layout is tried first, and left."""
    monkeypatch.setattr(abi_check, "LAYOUTS", tuple(reversed(abi.LAYOUTS)))
    monkeypatch.setattr(abi_check, "_wheel_runtime", lambda: b"no mark")
    monkeypatch.setattr(abi_check, "_wheel_digest", lambda: "0" * 16)
    tried = []

    def build_layout(layout: abi.WheelLayout) -> pathlib.Path:
        tried.append(layout.context)
        return build.build_library([layout.flag])

    found = abi_check.library_for_wheel(build_layout)
    found.with_name(f"{found.stem}.probed-{'0' * 16}").unlink()
    assert tried == [2, 1]
    assert found == library.operator_library().path


def test_a_wheel_of_no_known_layout_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abi_check, "LAYOUTS", abi.LAYOUTS[1:])
    with pytest.raises(TflmAbiError, match="has none of the layouts") as caught:
        abi_check.library_for_wheel(lambda layout: build.build_library([layout.flag]))
    assert "pip install tflite-micro==" in str(caught.value)
    assert "(it crashed)" in str(caught.value)


def test_wrong_abi_version_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    planted = build.build_library(["-O0", "-DVIT_TFLM_ABI_VERSION=999"])
    with pytest.raises(TflmAbiError, match=f"got 999, expected {abi.ABI_VERSION}"):
        library.open_library(planted)


def test_header_and_loader_have_one_version() -> None:
    text = (build.PACKAGE / "abi" / "vit_tflm_abi.h").read_text()
    assert f"#define VIT_TFLM_ABI_VERSION {abi.ABI_VERSION}\n" in text


def test_foreign_library_is_refused(tmp_path: pathlib.Path) -> None:
    source = tmp_path / "foreign.c"
    source.write_text("int answer(void) { return 42; }\n")
    foreign = tmp_path / "foreign.so"
    compiler = build.find_toolchain().cc
    subprocess.run([compiler, "-shared", "-fPIC", str(source), "-o", str(foreign)], check=True)
    with pytest.raises(TflmAbiError, match="not an operator library"):
        library.open_library(foreign)


def test_broken_library_is_refused(tmp_path: pathlib.Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF and then nothing")
    with pytest.raises(TflmAbiError, match="cannot be loaded"):
        library.open_library(broken)


# Another layout than the wheel's: what to replace in which header.
_EVAL_TENSOR = ("tensorflow/lite/c/common.h", "  TfLiteIntArray* dims;\n  TfLiteType type;")
_LAYOUTS = {
    "type_before_dims": (*_EVAL_TENSOR, "  TfLiteType type;\n  TfLiteIntArray* dims;"),
    "context_grew": (
        "tensorflow/lite/c/common.h",
        "  void* AllocateBufferForEval;\n",
        "  void* AllocateBufferForEval;\n  void* Added;\n",
    ),
    "node_lost_a_member": (
        "tensorflow/lite/c/common.h",
        "  TfLiteIntArray* intermediates;\n",
        "",
    ),
    "registration_grew": (
        "tensorflow/lite/micro/micro_common.h",
        "  const char* custom_name;  // filled in by AddCustom\n",
        "  const char* custom_name;\n  void* added = nullptr;\n",
    ),
}


def _plant_layout(
    monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path, change: tuple[str, str, str]
) -> None:
    header, old, new = change
    shutil.copytree(build.PACKAGE / "abi", folder / "abi")
    path = folder / "abi" / header
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    monkeypatch.setattr(build, "_COMMON_FLAGS", (f"-I{folder}/abi", *build._COMMON_FLAGS))
    monkeypatch.setenv(VARIABLE, str(folder / "cache"))


@pytest.mark.parametrize("name", _LAYOUTS)
def test_other_layout_does_not_compile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, name: str
) -> None:
    _plant_layout(monkeypatch, tmp_path, _LAYOUTS[name])
    with pytest.raises(TflmBuildError, match=r"abi_layout\.cc"):
        build.build_library()
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not left, "a failed build left something behind"


@pytest.mark.parametrize("name", _LAYOUTS)
def test_probe_catches_other_layout_without_crashing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, name: str
) -> None:
    _plant_layout(monkeypatch, tmp_path, _LAYOUTS[name])
    needed = [p for p in build.sources() if p.name != "abi_layout.cc"]
    monkeypatch.setattr(build, "sources", lambda: needed)
    with pytest.raises(TflmAbiError, match="struct layout"):
        abi_check.check_wheel_layout(build.build_library(["-O0"]))


def test_probe_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    probed = library.operator_library().path

    def fail(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("probed again")

    monkeypatch.setattr(subprocess, "run", fail)
    abi_check.check_wheel_layout(probed)


@pytest.mark.skipif("TFLM_DIR" not in os.environ, reason="TFLM_DIR (TFLM's own headers) is unset")
def test_operators_compile_unchanged_against_real_headers() -> None:
    compiler = build.find_toolchain().cxx
    sources = [p for p in build.sources() if p.parent == build.PACKAGE]
    sources = [p for p in sources if p.name != "wheel_entry.cc"]
    sources.append(build.PACKAGE / "planned_memory_planner.cc")
    assert len(sources) >= 10
    for source in sources:
        command = [compiler, *build._CXX_FLAGS, "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
        command += ["-DTF_LITE_STATIC_MEMORY", f"-I{build.REPOSITORY}"]
        command += [f"-isystem{os.environ['TFLM_DIR']}", str(source)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
