# SPDX-License-Identifier: Apache-2.0
"""What became of a command's files, counted; kept in a record, from which a campaign goes on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from benchmarks.fuzz import mutate_bytes, mutate_file, mutate_own
from benchmarks.fuzz.command_child import CRASHED, HANGS, TRACEBACK, Outcome

SECONDS, BYTES = 30.0, 2 << 30
_LISTED = 20
_CLASSES = {
    change.__name__: name
    for name, module in (("bytes", mutate_bytes), ("own", mutate_own), ("file", mutate_file))
    for change in module.MUTATIONS
}


def class_of(change: str) -> str:
    """Of the first change: bytes, graph, own (options, blobs, plans), or file (the rest)."""
    return _CLASSES.get(change.partition("+")[0], "graph")


@dataclasses.dataclass
class Tally:
    """Of one command.

    Attributes:
      next_seed: of the first mutant that was not tried yet.
      outcomes: of each kind of file and class of change, e.g. "plain bytes refused".
      compared: accepted files whose result was compared with the definition.
      seconds: of all files together.
      fault_count, faults: of what must not be, and the first of them (seed, change, what).
    """

    next_seed: int = 0
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    compared: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    largest_bytes: int = 0
    over_time: int = 0
    over_memory: int = 0
    fault_count: int = 0
    faults: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)

    @property
    def inputs(self) -> int:
        return self.outcomes.total()

    @property
    def verdicts(self) -> Counter[str]:
        """How many of each verdict."""
        return self._by(2)

    def _by(self, place: int) -> Counter[str]:
        found: Counter[str] = Counter()
        for key, count in self.outcomes.items():
            found[key.split()[place]] += count
        return found

    def add(self, seed: int, kind: str, change: str, found: Outcome) -> None:
        """Counts a file of a kind."""
        self.next_seed = seed + 1
        self.outcomes[f"{kind} {class_of(change)} {found.verdict}"] += 1
        self.compared += found.compared
        self.seconds += found.seconds
        self.slowest_s = max(self.slowest_s, found.seconds)
        self.over_time += found.seconds > SECONDS
        self.over_memory += found.largest_bytes > BYTES >= self.largest_bytes
        self.largest_bytes = max(self.largest_bytes, found.largest_bytes)
        if found.verdict in (CRASHED, HANGS, TRACEBACK):
            self._fault(seed, change, f"{found.verdict}: {found.line}")
        elif found.fault:
            self._fault(seed, change, f"{found.fault} [{found.line}]")

    def _fault(self, seed: int, change: str, what: str) -> None:
        self.fault_count += 1
        if len(self.faults) < _LISTED:
            self.faults.append((seed, change, what))

    @property
    def is_bad(self) -> bool:
        return bool(self.fault_count or self.over_time or self.over_memory)

    def summary(self) -> dict[str, object]:
        """For a record; `of` reads it."""
        return {
            "inputs": self.inputs,
            "next_seed": self.next_seed,
            "by_kind": dict(sorted(self._by(0).items())),
            "by_change": dict(sorted(self._by(1).items())),
            "verdicts": dict(sorted(self.verdicts.items())),
            "outcomes": dict(sorted(self.outcomes.items())),
            "compared": self.compared,
            "over_30_s": self.over_time,
            "over_2_gb": self.over_memory,
            "seconds": round(self.seconds),
            "slowest_s": round(self.slowest_s, 2),
            "largest_mb": self.largest_bytes >> 20,
            "faults": self.fault_count,
            "listed": [list(fault) for fault in self.faults],
        }

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Self:
        """From a record."""
        return cls(
            summary["next_seed"],
            Counter(summary["outcomes"]),
            summary["compared"],
            summary["seconds"],
            summary["slowest_s"],
            summary["largest_mb"] << 20,
            summary["over_30_s"],
            summary["over_2_gb"],
            summary["faults"],
            [(seed, change, what) for seed, change, what in summary["listed"]],
        )
