# SPDX-License-Identifier: Apache-2.0
"""Which lines of the C files the tests reach that compare them with their definitions.

    python -m benchmarks.fuzz.c_coverage --json=docs/results/c_coverage.json

On the host: gcov, through a compiler that measures, given to the tests of builtins, of a camera's
rows, of boxes and of sub-words. On a core with DSP instructions: the blocks that the emulator runs
for random operators of every kind. The kernels' portable C and the console are measured with the
fuzzers' kept inputs (`benchmarks.fuzz.native`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.kernels import emulator
from benchmarks.kernels.sweep import mismatches_of_seed
from benchmarks.versions import versions_of
from tflm_custom_ops.ops import OpKind
from tflm_custom_ops.sources import KERNELS
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from toolchain import cross_tool, host_c, run_tool
from toolchain.cache import VARIABLE as CACHE

FLAGS = flags.FlagSet("c_coverage", __doc__)
flags.samples(FLAGS, 60, "Random operators of each kind, on the emulated core.")
flags.json(FLAGS)
_ROOT = Path(__file__).resolve().parents[2]
_TESTS = (
    "tests/tflm_custom_ops/builtins/test_builtins.py::test_c_equals_the_reference",
    "tests/tflm_custom_ops/builtins/test_builtins.py::"
    "test_convolutions_run_on_the_stack_or_in_the_arena",
    "tests/firmware/library/test_camera.py",
    "tests/firmware/test_detections.py",
    "tests/firmware/test_subwords.py::test_c_cuts_as_the_definition",
)
_HOST_FOLDERS = ("tflm_custom_ops/builtins", "firmware/src/app")
_COMPILER = """#!/bin/sh
# Measures: without optimization, notes and counts in one folder, whatever is compiled where.
case " $* " in *" -c "*|*.c*) exec {gcc} "$@" -O0 --coverage -dumpdir {notes}/$$- ;; esac
exec {gcc} "$@"
"""
_LINE = re.compile(r"^(\S+\.[cS])\s+(\d+)\s+(0x[0-9a-f]+)")
_CAMERA = re.compile(r".*_camera\.c")  # of a library's name; what is of colours is not of grey
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t")
Lines = dict[str, dict[int, bool]]  # of a file: a line with code, and whether it ran


def _measured(tests: Sequence[str], work: Path) -> Lines:
    """Lines of C files that tests reach on the host."""
    notes = work / "notes"
    notes.mkdir()
    compiler = work / "cc"
    compiler.write_text(_COMPILER.format(gcc=host_c().path, notes=notes), encoding="utf-8")
    compiler.chmod(0o755)
    environment = {
        **os.environ, "CC": str(compiler), "TMPDIR": str(work), CACHE: str(work / "c"),
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=_ROOT, env=environment, check=True,
    )  # fmt: skip
    found: Lines = defaultdict(dict)
    for counts in sorted(notes.glob("*.gcda")):
        told = run_tool(["gcov", "--json-format", "--stdout", str(counts)], "gcov", notes)
        for file in json.loads(told)["files"]:
            lines = found[_CAMERA.sub("camera.c", Path(file["file"]).name)]
            for line in file["lines"]:
                number = line["line_number"]
                lines[number] = lines.get(number, False) or line["count"] > 0
    return found


def _lines_of(elf: Path) -> list[tuple[str, int, int]]:
    """(file, line, address) of the C code in an ELF with debug information."""
    words = [cross_tool("objdump").path, "--dwarf=decodedline", str(elf)]
    told = run_tool(words, "reading lines").splitlines()
    rows = (_LINE.match(line) for line in told)
    return [(Path(m[1]).name, int(m[2]), int(m[3], 16)) for m in rows if m]


def _instructions(elf: Path) -> list[int]:
    """Addresses of all instructions of an ELF, ascending."""
    told = run_tool([cross_tool("objdump").path, "-d", str(elf)], "disassembling").splitlines()
    return [int(m[1], 16) for line in told if (m := _INSTRUCTION.match(line))]


def _emulated(operators: int) -> Lines:
    """Lines of C files that random operators of every kind reach on a Cortex-M7."""
    core = emulator.CORTEX_M7
    machine = emulator.KernelEmulator(
        emulator.build(core, optimisation=("-O1", "-g", "-fno-inline")), core
    )
    machine.profile_reset()
    for kind in OpKind:
        for seed in range(operators):
            if mismatches_of_seed(machine, kind, seed):
                raise ValueError(f"{kind.name} seed {seed} differs from the reference")
    every = _instructions(machine.elf.path)
    place = {address: i for i, address in enumerate(every)}
    ran: set[int] = set()
    for block in machine.executed_blocks():
        first = place[block.address & ~1]
        ran.update(every[first : first + block.instructions])
    found: Lines = defaultdict(dict)
    for file, line, address in _lines_of(machine.elf.path):
        found[file][line] = found[file].get(line, False) or address in ran
    return found


def _percent(found: Lines, names: Iterable[str]) -> dict[str, float]:
    """Of the lines of each file; a file that nothing reached has none."""
    kept = {name: found.get(name, {}) for name in sorted(names)}
    return {
        name: round(100 * sum(lines.values()) / len(lines), 1) if lines else 0.0
        for name, lines in kept.items()
    }


def _missed(found: Lines, percents: Mapping[str, float]) -> dict[str, list[int]]:
    """Lines that nothing reached."""
    return {
        name: sorted(n for n, ran in found[name].items() if not ran)
        for name, percent in percents.items()
        if 0 < percent < 100
    }


def _body() -> None:
    expect_writable(FLAGS.json)
    with tempfile.TemporaryDirectory(prefix="vit-coverage-") as folder:
        host = _measured(_TESTS, Path(folder))
    files = [p.name for f in _HOST_FOLDERS for p in (_ROOT / f).glob("vit_*.c")]
    files += ["camera.c", "detections.c", "subwords.c"]
    core = _emulated(FLAGS.samples)
    dsp = [p.name for p in KERNELS.glob("*_dsp.[cS]")]
    record = {
        "command": typed_command("benchmarks.fuzz.c_coverage"),
        "versions": {**versions_of(), "gcc": host_c().says.splitlines()[0]},
        "host": _percent(host, files),
        "cortex_m7": _percent(core, dsp),
    }
    for place, lines in (("host", host), ("cortex_m7", core)):
        percents = record[place]
        assert isinstance(percents, dict)
        for name, percent in percents.items():
            print(f"{place:10} {name:32} {percent:6.1f} % {_missed(lines, {name: percent})}")
    if FLAGS.json:
        write_json(FLAGS.json, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
