# SPDX-License-Identifier: Apache-2.0
"""Plants faults one at a time and runs the tests that are to notice.

    python -m benchmarks.mutations --json=docs/results/mutations.json [--only=protocol,reader]

Each fault is planted in a copy of the tree. A fault survives if its tests pass; the exit status is
1 if any does. Tests that take five times the processor time that they take without it, and a minute
more, do not end by themselves: they are stopped, and the fault is noticed.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.mutations.fault import Fault
from benchmarks.mutations.faults import FAULTS
from benchmarks.versions import versions_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("mutations", __doc__)
flags.only(FLAGS, "Faults whose file or name holds one of these words; default: all.")
flags.json(FLAGS)
_ROOT = Path(__file__).resolve().parents[2]
_SPARE_S, _TIMES = 60.0, 5  # of a fault's tests, and how often what they take without it


def planted(text: str, fault: Fault) -> str:
    """A file's text with the fault in it.

    Raises:
      ValueError: the text to change does not occur exactly once.
    """
    count = text.count(fault.text)
    if count != 1:
        raise ValueError(f"{fault.name}: {fault.path} has {fault.text!r} {count} times, expected 1")
    return text.replace(fault.text, fault.instead)


def _copied(folder: Path) -> Path:
    """The tracked files of the tree, in a folder of their own."""
    tree = folder / "tree"
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=_ROOT, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        source, target = _ROOT / name, tree / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return tree


def _tests_pass(tree: Path, tests: Sequence[str], limit_s: float | None = None) -> bool:
    """Whether the tests pass, run with the copy's code.

    Args:
      limit_s: of processor time, of each of their processes; they fail beyond it.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    if limit_s is not None:
        command = ["prlimit", f"--cpu={round(limit_s)}", "--", *command]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=False)
    return done.returncode == 0


def _survives(tree: Path, fault: Fault, limit_s: float) -> bool:
    path = tree / fault.path
    original = path.read_text(encoding="utf-8")
    path.write_text(planted(original, fault), encoding="utf-8")
    try:
        return _tests_pass(tree, fault.tests, limit_s)
    finally:
        path.write_text(original, encoding="utf-8")


def _cpu_minutes() -> float:
    """Of all tests so far: what a machine without other work needs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) / 60


def _chosen() -> list[Fault]:
    words = FLAGS.only
    return [f for f in FAULTS if not words or any(w in f.path or w in f.name for w in words)]


def _body() -> None:
    expect_writable(FLAGS.json)
    chosen, results = _chosen(), {}
    with tempfile.TemporaryDirectory(prefix="vit-mutations-") as folder:
        tree = _copied(Path(folder))
        limits: dict[Sequence[str], float] = {}
        for tests in dict.fromkeys(f.tests for f in chosen):
            before = _cpu_minutes()
            if not _tests_pass(tree, tests):
                raise ValueError(f"{' '.join(tests)}: fails without any fault; mend that first")
            limits[tests] = _SPARE_S + _TIMES * 60 * (_cpu_minutes() - before)
        for fault in chosen:
            started = time.monotonic()
            results[fault.name] = (
                "survived" if _survives(tree, fault, limits[fault.tests]) else "killed"
            )
            seconds = time.monotonic() - started
            print(f"{results[fault.name]:<9} {fault.name} ({seconds:.0f} s)", flush=True)
    survivors = [name for name, result in results.items() if result == "survived"]
    print(f"{len(results) - len(survivors)} of {len(results)} killed")
    if FLAGS.json:
        record = {
            "command": typed_command("benchmarks.mutations"),
            "versions": versions_of("pytest", "numpy"),
            "faults": len(results),
            "killed": len(results) - len(survivors),
            "survivors": survivors,
            "cpu_minutes": round(_cpu_minutes(), 1),
            "results": results,
        }
        write_json(FLAGS.json, record)
    if survivors:
        sys.exit(1)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
