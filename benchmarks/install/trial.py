# SPDX-License-Identifier: Apache-2.0
"""From nothing to a fused file, a CubeIDE project and two models in somebody's CMake project."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import tomllib
from pathlib import Path

from benchmarks.install.process import Taken, taken

ROOT = Path(__file__).resolve().parents[2]
ENDS = ("newest", "oldest")
_LOWEST = re.compile(r"([\w-]+)>=([\w.]+),.*?(?:; *python_version([<>=]+)'([\d.]+)')?")
_FOREIGN = """\
cmake_minimum_required(VERSION 3.16)
project(foreign C)
add_subdirectory(first)
add_subdirectory(second)
add_executable(foreign main.c)
target_link_libraries(foreign PRIVATE first second)
"""
_MAIN = """\
#include <stdio.h>
#include "first.h"
#include "second.h"
static first_state one;
static second_state two;
static FIRST_ALIGNED unsigned char a[FIRST_ARENA_BYTES];
static SECOND_ALIGNED unsigned char b[SECOND_ARENA_BYTES];
int main(void) {
  return first_init(&one, a, sizeof a) || second_init(&two, b, sizeof b) ||
         printf("both models are ready\\n") < 0;
}
"""
# The exact search runs on few networks: once here, with this OR-Tools.
_EXACT = """\
from converter.plan import cp_sat, heuristic
from converter.plan.problem import Buffer, Problem
sizes = (912, 400, 1201, 77, 640, 1555, 300, 48)
buffers = tuple(Buffer(f"b{i}", n, i // 2, i // 2 + 1 + i % 3, 16) for i, n in enumerate(sizes))
problem = Problem(buffers, ())
found = cp_sat.solve(problem, heuristic.search(problem, iterations=0), 10.0)
assert found.optimal, found
"""
_IMPORTS = """\
import time
started = time.process_time()
import converter.fuse.__main__, converter.plan.__main__, firmware.export
print(time.process_time() - started)
"""


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one environment took.

    Attributes:
      python, end: which, and whether it has the oldest or the newest packages.
      packages: versions of what was installed.
      size_mb: of the environment, MiB.
      import_cpu_s: imports of fuse, plan and export.
    """

    python: str
    end: str
    packages: dict[str, str]
    size_mb: float
    install: Taken
    import_cpu_s: float
    fuse: Taken
    project: Taken
    libraries: Taken
    foreign: Taken

    @property
    def record(self) -> dict[str, object]:
        """For JSON; the last three are seconds from nothing."""
        fused = self.install.wall_s + self.fuse.wall_s
        ways = {
            "to_fused_file_s": fused,
            "to_cubeide_project_s": fused + self.project.wall_s,
            "to_foreign_program_s": self.install.wall_s
            + self.libraries.wall_s
            + self.foreign.wall_s,
        }
        return {
            "python": self.python,
            "end": self.end,
            "packages": self.packages,
            "environment_mb": round(self.size_mb, 1),
            "import_cpu_s": round(self.import_cpu_s, 3),
            **{
                name: getattr(self, name).figures
                for name in ("install", "fuse", "project", "libraries", "foreign")
            },
            **{name: round(seconds, 1) for name, seconds in ways.items()},
        }


def oldest(version: str) -> list[str]:
    """The lower end of each of the wheel's ranges, for that Python."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = []
    for requirement in content["project"]["dependencies"]:
        found = _LOWEST.fullmatch(requirement)
        assert found is not None, requirement
        name, low, relation, bound = found.groups()
        old = _number(version) < _number(bound) if relation else True
        if not relation or old == (relation == "<"):
            pins.append(f"{name}=={low}.*" if low.count(".") < 2 else f"{name}=={low}")
    return pins


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def run_trial(
    python: str, version: str, end: str, wheel: Path, models: tuple[Path, Path], work: Path
) -> Trial:
    """Makes an environment in an empty folder and walks each way once.

    Args:
      python: the interpreter; of that version.
      end: of the ranges.
      models: plain files; the first, a large one, is fused, measured and exported for CubeIDE, the
        second becomes two models of one program, with a residual stream of 8 and of 16 bits.

    Raises:
      InstallTrialError: a step failed.
    """
    environment, folder = work / "environment", work / "empty"
    folder.mkdir(parents=True)
    install = _installed(python, version, end, wheel, environment, folder)
    inside = environment / "bin" / "python"
    command = environment / "bin" / "tflm-vit"
    imports = taken([inside, "-c", _IMPORTS], folder)
    imports = taken([inside, "-c", _IMPORTS], folder)  # the first one compiled the sources
    taken([inside, "-c", _EXACT], folder)
    packages = json.loads(taken([inside, "-c", _PACKAGES], folder).output)
    shutil.copyfile(models[0], folder / "large.tflite")
    shutil.copyfile(models[1], folder / "small.tflite")
    fused = [command, "fuse", "--out=fused.tflite", "--streamed", "--model=large.tflite"]
    fuse = taken(fused, folder)
    words = [command, "export", "--model=fused.tflite", "--format=stm32cubeide", "--out=project"]
    project = taken(words, folder)
    libraries = _joined(
        [_library(command, name, bits, folder) for name, bits in (("first", 8), ("second", 16))]
    )
    foreign = _foreign(folder)
    size = sum(p.stat().st_size for p in environment.rglob("*") if p.is_file()) / 2**20
    return Trial(
        version, end, packages, size, install, float(imports.output), fuse, project, libraries,
        foreign,
    )  # fmt: skip


_PACKAGES = """\
import importlib.metadata as m, json
print(json.dumps({d.metadata["Name"]: d.version for d in m.distributions()}))
"""


def _installed(
    python: str, version: str, end: str, wheel: Path, environment: Path, folder: Path
) -> Taken:
    made = taken([python, "-m", "venv", environment], folder)
    pins = oldest(version) if end == "oldest" else []
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, *pins]
    put = taken(pip, folder)
    return _joined([made, put])


def _joined(steps: list[Taken]) -> Taken:
    """One after the other."""
    wall_s, cpu_s = (sum(getattr(s, name) for s in steps) for name in ("wall_s", "cpu_s"))
    return Taken(wall_s, cpu_s, max(s.peak_mb for s in steps))


def _library(command: Path, name: str, bits: int, folder: Path) -> Taken:
    """The small model with that residual stream as a component of this name."""
    words = [command, "fuse", "--model=small.tflite", f"--residual_bits={bits}"]
    fuse = taken([*words, f"--out={name}.tflite"], folder)
    words = [command, "export", f"--model={name}.tflite", "--format=library", f"--name={name}"]
    return _joined([fuse, taken([*words, f"--out=foreign/{name}"], folder)])


def _foreign(folder: Path) -> Taken:
    """Configures, builds and runs the project, with the host's compiler."""
    place = folder / "foreign"
    (place / "CMakeLists.txt").write_text(_FOREIGN, encoding="utf-8")
    (place / "main.c").write_text(_MAIN, encoding="utf-8")
    text = "cmake -S . -B build && cmake --build build && ./build/foreign"
    return taken(["sh", "-c", text], place)
