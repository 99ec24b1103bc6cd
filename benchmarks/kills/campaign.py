# SPDX-License-Identifier: Apache-2.0
"""Kills one command again and again, runs it again after each, and compares."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.kills import events, forked, results
from benchmarks.kills.case import Case
from benchmarks.kills.cases import OUT

KILLED = -9


@dataclasses.dataclass(frozen=True)
class Kill:
    """When a run is to be killed: before a moment, or after a share of its time.

    Attributes:
      at: number of the moment.
      share: 0..1 of an uninterrupted run's time.
      twice: the run after it is killed as well, after the same share of its time.
    """

    at: int | None = None
    share: float = 0.0
    twice: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a kill did.

    Attributes:
      where: the moment's name, or "at random".
      kills: how many processes were killed.
      wrong: what differs from the uninterrupted run.
      lost: what had been finished and is not any more, or a result that is not whole.
      refused: the run after it failed; its last line.
    """

    where: str
    kills: int
    wrong: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    refused: str = ""

    @property
    def right(self) -> bool:
        return not (self.wrong or self.lost or self.refused)


def _place(kill: Kill, moments: Sequence[str]) -> str:
    """What was about to happen. Compilers that run side by side do not take the same number of
    moments in each run: the last one may be passed before its number comes."""
    if kill.at is None:
        return "at random"
    return moments[kill.at] if kill.at < len(moments) else "not reached"


class Campaign:
    """One case.

    Args:
      base: folder of all cases' uninterrupted results, under their names.
      work: an empty folder for the runs of this one.
      cache: folder of compiled code.
    """

    def __init__(self, case: Case, base: Path, work: Path, cache: Path) -> None:
        self.case, self.base, self.work, self.cache = case, base, work, cache
        self._runs = 0

    def _run(self, folder: Path, again: bool, kill: Kill | None = None, cold: bool = False) -> Any:
        """One run in a folder."""
        self._runs += 1
        cache = folder.with_name(f"{folder.name}.cache") if self.case.own_cache else self.cache
        for each in (cache, folder.with_name(f"{folder.name}.tmp")):
            each.mkdir(exist_ok=True)
        words = self.case.words(self.base, folder)
        if again:
            words += [w for w in self.case.again if w not in words]
        environment = {
            "TFLM_VIT_CACHE": str(cache),
            "TMPDIR": str(folder.with_name(f"{folder.name}.tmp")),
        }
        logs = self.work / f"run{self._runs}"
        logs.mkdir()
        after = None if kill is None or kill.at is not None else kill.share * self.seconds
        at = None if kill is None else kill.at
        return forked.run(self.case.module, words, logs, (folder, cache), environment, at, after)

    def _folder(self, name: str) -> Path:
        folder = self.work / name
        folder.mkdir()
        self.case.prepare(self.base, folder)
        return folder

    def uninterrupted(self) -> None:
        """The result to compare with, at BASE/NAME, and the moments.

        Raises:
          ValueError: the command fails, or two uninterrupted runs differ.
        """
        found = []
        for name in ("first", "second"):
            folder = self._folder(name)
            end = self._run(folder, again=False)
            if end.status:
                raise ValueError(
                    f"{self.case.name}: status {end.status} without a kill: {end.text[-300:]}"
                )
            found.append((folder, end))
        (folder, first), (other, second) = found
        self.expected = self.case.result(folder / OUT)
        if differing := results.differing(self.expected, self.case.result(other / OUT)):
            raise ValueError(f"{self.case.name}: two runs without a kill differ in {differing}")
        self.finished = set(self.case.finished(folder))
        self.moments, self.seconds = first.moments, min(first.seconds, second.seconds)
        place = self.base / self.case.name
        os.replace(folder, place)

    def kills(self, named: int, at_random: int, seed: int) -> list[Kill]:
        """Where to kill: named moments, and random times, of which each third is killed twice."""
        drawn = random.Random(f"{self.case.name} {seed}")
        chosen = [Kill(at=n) for n in events.chosen(self.moments, named, drawn)]
        times = [Kill(share=drawn.uniform(0.02, 1.0), twice=i % 3 == 2) for i in range(at_random)]
        return chosen + times

    def outcomes(self, kills: list[Kill]) -> Iterator[Outcome]:
        for number, kill in enumerate(kills):
            folder = self._folder(f"kill{number}")
            yield self._outcome(folder, kill)
            for left in self.work.glob(f"kill{number}*"):
                shutil.rmtree(left)

    def _outcome(self, folder: Path, kill: Kill) -> Outcome:
        old = self.case.result(folder / OUT) if self.case.always_whole else {}
        end = self._run(folder, again=False, kill=kill)
        where = _place(kill, end.moments)
        kills, lost = int(end.status == KILLED), self._not_whole(folder, old)
        done = set(self.case.finished(folder))
        if kill.twice and end.status == KILLED:
            end = self._run(folder, again=True, kill=kill)
            kills += end.status == KILLED
            lost += self._not_whole(folder, old)
            now = set(self.case.finished(folder))
            lost += list(done - now)
            done = now
        end = self._run(folder, again=True)
        if end.status:
            lines = end.text.strip().splitlines() or [f"status {end.status}"]
            return Outcome(where, kills, (), tuple(lost), lines[-1])
        lost += list(done - set(self.case.finished(folder)))
        # Done again: an epoch, a trial that a kill had left finished; more would be other work.
        wrong = results.differing(self.expected, self.case.result(folder / OUT))
        beside = [
            p.name for p in folder.iterdir() if not (self.base / self.case.name / p.name).exists()
        ]
        return Outcome(where, kills, tuple(wrong + beside), tuple(lost))

    def _not_whole(self, folder: Path, old: dict[str, Any]) -> list[str]:
        """A result that must be whole at every moment and is neither the old nor the new one."""
        if not self.case.always_whole:
            return []
        found = self.case.result(folder / OUT)
        return [] if found in (old, self.expected) else ["neither the old nor the new result"]
