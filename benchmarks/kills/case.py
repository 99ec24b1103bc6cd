# SPDX-License-Identifier: Apache-2.0
"""What is killed, as data: a command, how it goes on, and what must not be lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.kills import results

Words = Callable[[Path, Path], list[str]]


def nothing_finished(folder: Path) -> list[str]:
    """Of a command that finishes all at once."""
    return []


@dataclasses.dataclass(frozen=True)
class Case:
    """One command.

    Attributes:
      name: for people, and the name of its results' folder.
      module: as `python -m` takes it.
      words: (folder of earlier cases' results, folder of this run) -> flags.
      again: the words that a run after a kill gets beside them.
      finished: folder -> what is finished there, as texts that can be compared; what a kill leaves
        finished is finished in the end as well.
      ignored: names of the folder that are no results: logs, checkpoints.
      dropped: keys of JSON results that count trials, of which a kill takes some.
      prepare: makes what is there before the first run.
      always_whole: the result is there, whole, also right after a kill: the old one or the new one.
      own_cache: each kill starts with an empty cache of compiled code.
    """

    name: str
    module: str
    words: Words
    again: tuple[str, ...] = ("--resume",)
    finished: Callable[[Path], list[str]] = nothing_finished
    ignored: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    prepare: Callable[[Path, Path], None] = lambda base, folder: None
    always_whole: bool = False
    own_cache: bool = False

    def result(self, folder: Path) -> dict[str, Any]:
        """Of an ended run, comparable."""
        return results.of_folder(folder, self.ignored, self.dropped)
