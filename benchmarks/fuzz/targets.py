# SPDX-License-Identifier: Apache-2.0
"""Fuzz targets in C: what they are built of, their kept inputs, and which lines those reach."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from tflm_custom_ops.host_library import objects
from tflm_custom_ops.sources import kernel_files
from toolchain import Compiler, host_c, run_tool

_ROOT = Path(__file__).resolve().parents[2]
FOLDER = _ROOT / "tests" / "fuzz"
_REPLAY = FOLDER / "replay.c"
_COVERED = re.compile(r"File '([^']+)'\nLines executed:([\d.]+)% of (\d+)")


@dataclasses.dataclass(frozen=True)
class FuzzTarget:
    """One target.

    Attributes:
      name: of its source, tests/fuzz/fuzz_NAME.c, and of the folder of kept inputs.
      sources: C files under test that are compiled beside it; others are included by it.
      includes: folders of headers.
    """

    name: str
    sources: tuple[Path, ...]
    includes: tuple[Path, ...]

    @property
    def source(self) -> Path:
        return FOLDER / f"fuzz_{self.name}.c"

    @property
    def inputs(self) -> list[Path]:
        """The kept ones."""
        return sorted((FOLDER / "corpus" / self.name).iterdir())


def _console() -> FuzzTarget:
    return FuzzTarget("console", (), (FOLDER / "console", _ROOT / "firmware" / "src"))


def _kernels() -> FuzzTarget:
    folders = sorted({path.parent for path in kernel_files(".h")})
    return FuzzTarget("kernels", tuple(kernel_files(".c")), tuple(folders))


TARGETS = (_console(), _kernels())


def _compile(target: FuzzTarget, compiler: str, flags: Sequence[str], files: Sequence[Path],
             work: Path) -> Path:  # fmt: skip
    program = work / target.name
    includes = [f"-I{folder}" for folder in target.includes]
    command = [compiler, *flags, *includes, *map(str, files), "-o", str(program)]
    run_tool(command, f"compiling the target {target.name}", work)
    return program


def build_replay(target: FuzzTarget, flags: Sequence[str], work: Path) -> Path:
    """A program that runs the target on files.

    Args:
      flags: of the host's compiler; kernels that were compiled with them are taken from the cache.
      work: an empty folder.
    """
    compiler: Compiler = host_c()
    made = objects(compiler, flags, list(target.sources))
    return _compile(target, compiler.path, flags, [target.source, _REPLAY, *made], work)


def build_fuzzer(target: FuzzTarget, clang: str, flags: Sequence[str], work: Path) -> Path:
    """The target with libFuzzer."""
    return _compile(target, clang, flags, [target.source, *target.sources], work)


def coverage(target: FuzzTarget, work: Path, only: Sequence[str] = ()) -> dict[str, float]:
    """Percent of the lines of each C file that the kept inputs reach.

    Args:
      work: an empty folder.
      only: names of the files under test that are measured; () for all of them.
    """
    compiler: Compiler = host_c()
    measured = [p for p in target.sources if not only or p.name in only]
    others = [p for p in target.sources if p not in measured]
    plain = ["-std=c11", "-O0", "-g"]
    made = objects(compiler, plain, others)
    files = [target.source, _REPLAY, *measured, *made]
    program = _compile(target, compiler.path, [*plain, "--coverage"], files, work)
    run_tool([str(program), *map(str, target.inputs)], "running the kept inputs", work)
    told = run_tool(["gcov", "-n", *(p.name for p in sorted(work.glob("*.gcda")))], "gcov", work)
    names = {p.name for p in measured} or {"protocol.c", "frame.c"}
    found = {Path(name).name: float(percent) for name, percent, _ in _COVERED.findall(told)}
    return {name: found[name] for name in sorted(names & found.keys())}
