# SPDX-License-Identifier: Apache-2.0
"""Fuzzes C code with libFuzzer under sanitizers: the console protocol, the parser and the kernels.

    python -m benchmarks.fuzz.native --minutes=60 --json=docs/results/fuzz_native.json

Starts from the kept inputs (tests/fuzz/corpus) and from random operators of each kind; with --keep
what reaches new code is added to the kept ones.
Needs clang with its run-time libraries (Debian: clang and libclang-rt-dev). The exit status is 1 if
an input crashes, leaks, or takes longer than a minute; it stays in --out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fuzz.operator_inputs import operator_inputs
from benchmarks.fuzz.targets import TARGETS, FuzzTarget, build_fuzzer, coverage
from benchmarks.versions import versions_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from toolchain import run_tool

FLAGS = flags.FlagSet("native", __doc__)
flags.only(FLAGS, "Names of targets; default: all.")
FLAGS.number("minutes", 1.0, "Of each target.", 0.01)
flags.seed(FLAGS, "Of libFuzzer; 0: another one each time.")
FLAGS.boolean("keep", False, "Add inputs that reach new code to the kept ones.")
flags.out(FLAGS, "Folder for inputs that fail.", required=False, default="build/fuzz")
flags.json(FLAGS)

_CLANG = ("clang", *(f"clang-{version}" for version in range(21, 13, -1)))
_FLAGS = (
    "-std=c11", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all",
)  # fmt: skip
_LONGEST_INPUT = 8192
_DONE = re.compile(r"stat::number_of_executed_units: (\d+)")
_REACHED = re.compile(r"cov: (\d+) ft: (\d+)")


def _clang() -> str:
    for name in _CLANG:
        path = shutil.which(name)
        if path is not None:
            return path
    raise ValueError("no clang: install it with its run time (Debian: clang, libclang-rt-dev)")


def _fuzz(target: FuzzTarget, clang: str, work: Path) -> dict[str, Any]:
    """Runs one target; returns its record."""
    program = build_fuzzer(target, clang, _FLAGS, work)
    found, failing = work / "found", Path(FLAGS.out).absolute() / target.name
    for folder in (found, failing):
        folder.mkdir(parents=True, exist_ok=True)
    if target.sources:  # kernels
        for name, content in operator_inputs():
            (found / name).write_bytes(content)
    kept = target.inputs[0].parent
    seconds = max(1, round(60 * FLAGS.minutes))
    command = [
        str(program), f"-max_total_time={seconds}", "-print_final_stats=1",
        f"-max_len={_LONGEST_INPUT}", "-timeout=60", f"-seed={FLAGS.seed}",
        f"-artifact_prefix={failing}/", str(found), str(kept),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    executed, reached = _DONE.search(done.stderr), _REACHED.findall(done.stderr)
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
    elif FLAGS.keep:
        merge = [str(program), "-merge=1", "-use_counters=0", str(kept), str(found)]
        run_tool(merge, f"merging {target.name}")
    return {
        "executions": int(executed[1]) if executed else 0,
        "edges": int(reached[-1][0]) if reached else 0,
        "kept_inputs": len(target.inputs),
        "failed": int(done.returncode != 0),
        "line_coverage_percent": coverage(target, _empty(work / "coverage")),
    }


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _body() -> None:
    expect_writable(FLAGS.json)
    clang, results = _clang(), {}
    for target in TARGETS:
        if FLAGS.only and target.name not in FLAGS.only:
            continue
        with tempfile.TemporaryDirectory(prefix="vit-fuzz-") as work:
            results[target.name] = record = _fuzz(target, clang, Path(work))
        print(f"{target.name}: {record['executions']} executions, {record['edges']} edges")
        for name, percent in record["line_coverage_percent"].items():
            print(f"  {name:<28} {percent:6.2f} %")
    if FLAGS.json:
        write_json(
            FLAGS.json,
            {
                "command": typed_command("benchmarks.fuzz.native"),
                "minutes": FLAGS.minutes,
                "versions": {
                    **versions_of(),
                    "clang": run_tool([clang, "--version"], "clang").split("\n")[0],
                },
                "targets": results,
            },
        )
    if any(record["failed"] for record in results.values()):
        sys.exit(1)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
