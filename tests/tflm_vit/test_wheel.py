# SPDX-License-Identifier: Apache-2.0
"""The wheel: all that commands read is in it, and it works where nothing else is installed.

In fresh environments of the Pythons that are found (on PATH, or pyenv's) the core fuses, plans,
inspects, compiles and exports from an empty folder. `python -m benchmarks.install` measures the
same, with the oldest and the newest packages that the wheel accepts.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tflm_vit
from benchmarks.install.pythons import VERSIONS, python_of
from tests.tflm_vit.test_windows import plain_model
from tflm_vit.installed import ROOMS

ROOT = Path(__file__).resolve().parents[2]
# Of folders in the wheel: what is for people, and for Bazel.
LEFT_OUT = ("BUILD", ".bzl", ".md", "/WORKSPACE")
BACKEND = "tools/wheel/wheel_backend.py"
OFFLINE = re.compile(r"NewConnectionError|ConnectTimeout|name resolution|Network is unreachable")


def ran(*words: str, cwd: Path | None = None) -> str:
    """Standard output of a process that must succeed."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode and OFFLINE.search(done.stderr):
        pytest.skip(f"no package index can be reached: {' '.join(words[:4])}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def built(folder: Path) -> Path:
    """From the files of the checkout, in a copy: nothing is written beside the sources."""
    copy = folder / "sources"
    listed = ran("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in listed:
        if name.split("/")[0] in (*ROOMS, "tflm_vit") or name.count("/") == 0 or name == BACKEND:
            if not (ROOT / name).is_file():
                continue
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    return made_of(copy, folder)


def made_of(sources: Path, folder: Path) -> Path:
    """The wheel of a folder."""
    isolated = int(importlib.metadata.version("setuptools").split(".")[0]) < 77
    flags = [] if isolated else ["--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *flags]
    ran(*command, "--wheel-dir", str(folder), str(sources))
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"))


def test_the_same_sources_are_the_same_bytes(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """In another folder, later, by somebody whose files others cannot read, after another build."""
    request.addfinalizer(functools.partial(os.umask, os.umask(0o077)))
    sources = tmp_path / "another" / "sources"
    shutil.copytree(wheel.parent / "sources", sources, copy_function=shutil.copyfile)
    for path in sources.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    left = sources / "build" / "lib" / "tflm_vit" / "left_by_an_older_build.py"
    left.parent.mkdir(parents=True)
    left.write_text("x = 1\n", encoding="utf-8")
    for name, value in (("HOME", str(tmp_path)), ("TZ", "Asia/Tokyo"), ("PYTHONHASHSEED", "7")):
        monkeypatch.setenv(name, value)
    again = made_of(sources, tmp_path)
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_every_file_that_commands_read_is_in_it(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    listed = ran("git", "ls-files", *ROOMS, "tflm_vit", cwd=ROOT).splitlines()
    wanted = {n for n in listed if not n.endswith(LEFT_OUT) and (ROOT / n).is_file()}
    assert wanted - inside == set()
    assert {name.split("/")[0] for name in inside} == {
        *ROOMS,
        "tflm_vit",
        f"tflm_vit-{tflm_vit.__version__}.dist-info",
    }
    assert all(f"{room}/py.typed" in inside for room in (*ROOMS, "tflm_vit"))


def test_its_name_and_notes_have_the_version(wheel: Path) -> None:
    assert wheel.name == f"tflm_vit-{tflm_vit.__version__}-py3-none-any.whl"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(tflm_vit.__version__)}\b", changes, flags=re.M)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_core_works_in_a_fresh_environment(wheel: Path, tmp_path: Path, version: str) -> None:
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} here, on PATH or in pyenv")
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    ran(python, "-m", "venv", "--without-pip", str(environment))
    folder = "Scripts" if os.name == "nt" else "bin"
    inside = str(environment / folder / "python")
    pip = [sys.executable, "-m", "pip", "--python", inside, "install", "--quiet", "--no-compile"]
    ran(*pip, str(wheel))
    names = ran(inside, "-c", "import importlib.metadata as m; print(len(list(m.distributions())))")
    assert int(names) <= 12, "the core has become larger"
    before = _files(environment)
    empty.mkdir()
    (empty / "plain.tflite").write_bytes(plain_model())
    command = str(environment / folder / "tflm-vit")

    def verb(*words: str) -> str:
        return ran(command, *words, cwd=empty)

    assert verb("--version").strip() == tflm_vit.__version__
    assert "runs it" in verb("fuse", "--model=plain.tflite", "--out=fused.tflite")
    verb("plan", "--model=fused.tflite", "--out=planned.tflite")
    assert "arena" in verb("inspect", "--model=planned.tflite")
    verb("compile", "--model=planned.tflite", "--out=compiled")
    verb("export", "--model=planned.tflite", "--format=stm32cubeide", "--out=project")
    verb("export", "--model=planned.tflite", "--format=library", "--name=net", "--out=library")
    assert (empty / "library" / "CMakeLists.txt").is_file()
    assert _files(environment) == before, "a command wrote into the installation"


def _files(folder: Path) -> dict[str, int]:
    """When each was written; not what Python itself keeps beside sources."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
    return {str(p): p.stat().st_mtime_ns for p in found}
