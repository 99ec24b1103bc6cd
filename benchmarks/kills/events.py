# SPDX-License-Identifier: Apache-2.0
"""Moments of a command that change files, seen by Python's audit hook; a kill before one of them.

The hook stands in the process that runs the command, so that the commands themselves know nothing
of it. Everything that Python does to files goes through it: renames, removals, files opened for
writing, folders made, compilers started, and the exchange of two folders by renameat2.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_RANDOM = re.compile(
    r"(?:[0-9a-f]{8}-)?\d+-[a-z0-9_]{8}|(?<=[-.])[a-z0-9_]{8}$|[0-9a-f]{16,}|tmp[a-z0-9_]{8}"
)
_NAMES = {
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "make folder",
    "os.rmdir": "remove folder",
    "shutil.rmtree": "remove tree",
    "os.truncate": "truncate",
    "os.link": "link",
}


def _plain(path: object) -> str:
    """The last part of a path without what is random in it."""
    return _RANDOM.sub("*", os.path.basename(os.fsdecode(path)))  # type: ignore[arg-type]


def moment(event: str, arguments: Sequence[Any], folders: Sequence[Path]) -> str | None:
    """The name of a moment, None for what does not change files in the folders.

    Args:
      event, arguments: of `sys.addaudithook`.
      folders: where changes count.
    """
    if event == "subprocess.Popen":
        return f"start {_plain(arguments[0])}"
    if event == "ctypes.dlsym":
        return f"call {arguments[1]}" if arguments[1] == "renameat2" else None
    if event == "open":
        path, mode, bits = arguments
        if not isinstance(path, (str, bytes, os.PathLike)):
            return None
        if not (set(mode or "") & set("wax+") or bits & (os.O_WRONLY | os.O_RDWR)):
            return None
        what = "open"
    elif event in _NAMES and not isinstance(arguments[0], int):
        path, what = arguments[1 if event == "os.rename" else 0], _NAMES[event]
    else:
        return None
    whole = os.path.abspath(os.fsdecode(path))
    if not any(whole.startswith(f"{folder}{os.sep}") or whole == str(folder) for folder in folders):
        return None
    return f"{what} {_plain(path)}"


def die() -> None:
    """As a machine that loses power: this process and the compilers that it started."""
    os.killpg(0, signal.SIGKILL)


def watch(folders: Sequence[Path], log: Path, at: int | None) -> None:
    """Writes the moments of this process, and kills it before one of them.

    Args:
      folders: where changes count.
      log: file for the names, one a line.
      at: number of the moment, from 0; None for no kill.
    """
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    seen = [0]
    mine = os.getpid()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        name = moment(event, arguments, folders)
        if name is None or os.getpid() != mine:
            return
        os.write(descriptor, f"{name}\n".encode())
        if seen[0] == at:
            die()
        seen[0] += 1

    sys.addaudithook(hook)


# Where a half-made state is likely: killed there before anything else.
_FIRST = ("call", "rename", "remove", "truncate", "start")


def chosen(names: Sequence[str], wanted: int, drawn: random.Random) -> list[int]:
    """Numbers of moments to kill at: the first and the last of each name, renames before others.

    Args:
      names: of all moments of an uninterrupted run.
      wanted: how many, at most.
      drawn: chooses where there are more.
    """
    ends: dict[str, set[int]] = {}
    for number, name in enumerate(names):
        ends.setdefault(name, set()).add(number)
    marked = {n for numbers in ends.values() for n in (min(numbers), max(numbers))}
    eager = {n for n in marked if names[n].startswith(_FIRST)}
    found: list[int] = []
    for group in (eager, marked - eager, set(range(len(names))) - marked):
        some = min(wanted - len(found), len(group))
        found += drawn.sample(sorted(group), some)
    return sorted(found)
