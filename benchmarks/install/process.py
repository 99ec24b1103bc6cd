# SPDX-License-Identifier: Apache-2.0
"""A process with the time and the memory that it and its children took."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


class InstallTrialError(RuntimeError):
    """A step of the trial failed; the message has what it wrote."""


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a process took.

    Attributes:
      wall_s, cpu_s: until it ended, and on all cores.
      peak_mb: largest resident memory of the process or one of its children, MiB.
      output: what it printed.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str = dataclasses.field(default="", repr=False)

    @property
    def figures(self) -> dict[str, float]:
        """For a record."""
        return {
            "wall_s": round(self.wall_s, 2),
            "cpu_s": round(self.cpu_s, 2),
            "peak_mb": round(self.peak_mb, 1),
        }


# Linux counts the memory of who starts a process as its own: a small one between starts it.
_WAITS = """
import json, os, sys
if not (child := os.fork()):
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss], file)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def taken(words: Sequence[str | Path], folder: Path) -> Taken:
    """Runs a command in a folder.

    Raises:
      InstallTrialError: it failed.
    """
    started = time.monotonic()
    used = folder / "used.json"
    with (folder / "output.txt").open("w+", encoding="utf-8") as output:
        process = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _WAITS, str(used), *map(str, words)],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise InstallTrialError(f"{' '.join(map(str, words))}: {text.strip()}")
    wall = time.monotonic() - started
    cpu_s, peak_kb = json.loads(used.read_text(encoding="utf-8"))
    return Taken(wall, cpu_s, peak_kb / 1024, text)
