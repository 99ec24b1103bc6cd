# SPDX-License-Identifier: Apache-2.0
"""Plants faults, each by itself, and runs the tests that are to notice.

    python -m benchmarks.mutations --json=docs/results/mutations.json [--only=protocol,reader]

Each fault is planted in a copy of the tree, one for each of --workers. A fault survives if its
tests pass, and is no fault if no compiler takes it; the exit status is 1 for either. Tests that
take five times the processor time that they take without it, and a minute more, do not end by
themselves: they are stopped, and the fault is noticed.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.mutations.fault import Fault
from benchmarks.mutations.faults import FAULTS
from benchmarks.versions import versions_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from toolchain.cache import VARIABLE

FLAGS = flags.FlagSet("mutations", __doc__)
flags.only(FLAGS, "Faults whose file or name holds one of these words; default: all.")
flags.json(FLAGS)
flags.workers(FLAGS, 2, "Faults planted at a time, each in a copy of the tree.", low=1)
_ROOT = Path(__file__).resolve().parents[2]
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+)$", re.MULTILINE)  # of pytest's summary
_PYTEST = ("-q", "-x", "-p", "no:cacheprovider")
_ENVIRONMENT = {"COLUMNS": "1000", "VIT_HYPOTHESIS_PROFILE": "mutations"}  # see tests/conftest.py
_NOT_COMPILED = re.compile(r"Error: \S+: \S*(?:cc|g\+\+|clang)\S* failed: ")
_LONGEST = 240  # of an error in the record
_FOLDERS = re.compile(r"/[\w/.-]*/pytest-of-[^/]+/pytest-\d+/")  # of a test, on this machine
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


def _copied(tree: Path) -> None:
    """Copies the tracked files of the tree into a folder of their own."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=_ROOT, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        source, target = _ROOT / name, tree / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


@dataclasses.dataclass(frozen=True)
class Run:
    """Tests that ended.

    Attributes:
      passed: all of them.
      cpu_s: processor time of them and of what they started: what counts on a machine with other
        work.
      noticed_by: the first test that failed, and its error; empty where all passed.
    """

    passed: bool
    cpu_s: float
    noticed_by: str

    @property
    def result(self) -> str:
        if self.passed:
            return "survived"
        return "not compiled" if _NOT_COMPILED.search(self.noticed_by) else "killed"


def run_tests(tree: Path, tests: Sequence[str], limit_s: float | None = None) -> Run:
    """Runs tests with a copy's code.

    Args:
      limit_s: of processor time, of each of their processes; they fail beyond it.
    """
    command = [sys.executable, "-m", "pytest", *_PYTEST, *tests]
    if limit_s is not None:
        command = ["prlimit", f"--cpu={round(limit_s)}", "--", *command]
    # One cache for all copies: what is compiled is found by its content.
    own = {"PYTHONPATH": str(tree), VARIABLE: str(tree.parent / "cache")}
    environment = {**os.environ, **_ENVIRONMENT, **own}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        # Waited for by hand: the processor time of this child alone, while others run beside it.
        process = subprocess.Popen(
            command, cwd=tree, env=environment, stdout=said, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        failed = _FAILED.findall(said.read())
    passed = process.returncode == 0
    noticed_by = "" if passed else failed[0] if failed else f"exit status {process.returncode}"
    return Run(passed, used.ru_utime + used.ru_stime, noticed_by)


def _run_with(tree: Path, fault: Fault, limit_s: float) -> Run:
    path = tree / fault.path
    original = path.read_text(encoding="utf-8")
    path.write_text(planted(original, fault), encoding="utf-8")
    try:
        return run_tests(tree, fault.tests, limit_s)
    finally:
        path.write_text(original, encoding="utf-8")


def _chosen() -> list[Fault]:
    words = FLAGS.only
    return [f for f in FAULTS if not words or any(w in f.path or w in f.name for w in words)]


class _Campaign:
    """Runs tests in several copies of the tree at a time."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for worker in range(workers):
            _copied(folder / str(worker))
            self._trees.put(folder / str(worker))

    def without(self, tests: Sequence[str]) -> Run:
        """The tests without a fault."""
        tree = self._trees.get()
        try:
            done = run_tests(tree, tests)
        finally:
            self._trees.put(tree)
        if not done.passed:
            raise ValueError(f"{done.noticed_by}: without any fault; mend that first")
        print(f"{'passes':<12} {' '.join(tests)} ({done.cpu_s:.0f} CPU s)", flush=True)
        return done

    def noticed(self, fault: Fault, without: Future[Run]) -> Run:
        """The tests with a fault planted."""
        limit_s = _SPARE_S + _TIMES * without.result().cpu_s
        tree = self._trees.get()
        try:
            done = _run_with(tree, fault, limit_s)
        finally:
            self._trees.put(tree)
        print(
            f"{done.result:<12} {fault.name} ({done.cpu_s:.0f} CPU s) {done.noticed_by}", flush=True
        )
        return done


def _record(
    runs: dict[str, Run], without: dict[Sequence[str], Run], wall_s: float, folder: str
) -> dict[str, Any]:
    ends = {
        result: [name for name, done in runs.items() if done.result == result]
        for result in ("killed", "survived", "not compiled")
    }
    cpu_s = sum(done.cpu_s for done in [*runs.values(), *without.values()])
    return {
        "command": typed_command("benchmarks.mutations"),
        "versions": versions_of("pytest", "numpy"),
        "faults": len(runs),
        "killed": len(ends["killed"]),
        "survivors": ends["survived"],
        "not_compiled": ends["not compiled"],
        "workers": FLAGS.workers,
        "wall_minutes": round(wall_s / 60, 1),
        "cpu_minutes": round(cpu_s / 60, 1),
        "without_faults_cpu_s": {
            " ".join(tests): round(done.cpu_s, 1) for tests, done in without.items()
        },
        "results": {
            name: {
                "result": done.result,
                "noticed_by": _FOLDERS.sub("", done.noticed_by.replace(folder, "."))[:_LONGEST],
                "cpu_s": round(done.cpu_s, 1),
            }
            for name, done in runs.items()
        },
    }


def _body() -> None:
    expect_writable(FLAGS.json)
    chosen, started = _chosen(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vit-mutations-") as folder:
        campaign = _Campaign(Path(folder), FLAGS.workers)
        rooms = list(dict.fromkeys(f.tests for f in chosen))
        pool = ThreadPoolExecutor(FLAGS.workers)
        try:
            # In this order: a fault waits for its room without faults, which began before.
            first = {tests: pool.submit(campaign.without, tests) for tests in rooms}
            then = [pool.submit(campaign.noticed, f, first[f.tests]) for f in chosen]
            without: dict[Sequence[str], Run] = {t: first[t].result() for t in rooms}
            runs = {f.name: end.result() for f, end in zip(chosen, then, strict=True)}
        finally:
            pool.shutdown(cancel_futures=True)
    record = _record(runs, without, time.monotonic() - started, folder)
    print(
        f"{record['killed']} of {record['faults']} killed, {record['wall_minutes']} min, "
        f"{record['cpu_minutes']} CPU min"
    )
    if FLAGS.json:
        write_json(FLAGS.json, record)
    if record["killed"] < record["faults"]:
        sys.exit(1)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
