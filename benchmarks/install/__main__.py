# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.install`: the wheel in fresh environments, as a new user has it.

    python -m benchmarks.install --model=vit_t_240.tflite --second=digits.tflite --out=record.json

For each Python that is found and both ends of the wheel's ranges of versions: seconds from nothing
to a fused file, to a CubeIDE project and to a program of a foreign CMake project with two models;
time and memory of the core. Downloads come from the index that pip is configured with. With --only
one after the other, on a machine that others use: the other trials of --out are kept.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.install.pythons import VERSIONS, python_of
from benchmarks.install.trial import ENDS, ROOT, run_trial
from benchmarks.versions import versions_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, parse_json, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("install", __doc__)
_MODEL = flags.model(FLAGS, "A plain .tflite, that of vit_t_240.")
_SECOND = FLAGS.string("second", "", "Another plain .tflite, for the program with two.", True)
_OUT = flags.out(FLAGS, "JSON with all figures.")
flags.only(FLAGS, "Trials such as 3.11-newest; default: all.")


def _wheel(folder: Path) -> Path:
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    subprocess.run([*words, str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _body() -> None:
    expect_writable(_OUT.value)
    models = (Path(_MODEL.value).resolve(), Path(_SECOND.value).resolve())
    trials = _kept() if FLAGS.only else []
    with tempfile.TemporaryDirectory() as folder:
        wheel = _wheel(Path(folder))
        for end, version in itertools.product(ENDS, VERSIONS):
            if FLAGS.only and f"{version}-{end}" not in FLAGS.only:
                continue
            python = python_of(version)
            if python is None:
                print(f"Python {version}: not found, on PATH or in pyenv")
                continue
            work = Path(folder) / f"{version}-{end}"
            trial = run_trial(python, version, end, wheel, models, work)
            trials = [t for t in trials if (t["python"], t["end"]) != (version, end)]
            trials.append({**trial.record, "load": round(os.getloadavg()[1], 1)})
            print(f"Python {version}, {end} packages: fuse {trial.fuse}", flush=True)
            _write(models[0], trials)  # what is there if the next one fails
            shutil.rmtree(work)


def _kept() -> list[dict[str, object]]:
    """The trials of an earlier run."""
    path = Path(_OUT.value)
    return parse_json(path.read_text(encoding="utf-8"))["trials"] if path.exists() else []


def _write(model: Path, trials: list[dict[str, object]]) -> None:
    record = {
        "command": typed_command("benchmarks.install"),
        "versions": versions_of(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "model": model.name,
        "trials": sorted(trials, key=lambda t: (t["end"], t["python"])),
    }
    write_json(_OUT.value, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
