# SPDX-License-Identifier: Apache-2.0
"""Gives mutants of `.tflite` files to the commands that read one, and counts what becomes of them.

    python -m benchmarks.fuzz.commands --inputs=10000 --cases=FOLDER --json=commands.json

Each command runs in a process of its own, all files one after another. The exit status is 1 if a
file crashes it, gives a traceback, takes over 30 s or 2 GB, is refused without a line or with files
left behind, or if what is accepted gives another result than the operators' definition.
"""

from __future__ import annotations

import dataclasses
import json
import select
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from benchmarks.fuzz.command_child import CRASHED, HANGS, TRACEBACK, Outcome
from benchmarks.fuzz.command_files import Files, files_for
from benchmarks.fuzz.command_table import COMMANDS
from benchmarks.fuzz.mutate import mutant
from benchmarks.versions import versions_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("commands", __doc__)
FLAGS.words("commands", list(COMMANDS), "Some of the commands.")
FLAGS.integer("inputs", 1000, "Mutants for each command.", 1)
FLAGS.number("seconds_each", 3600.0, "A command sees no more mutants after so many seconds.")
flags.cases(FLAGS, "Folder of .tflite files, whose pieces are mutated as well.")
flags.seed(FLAGS, "Of the first mutant.")
flags.json(FLAGS)
_SECONDS, _BYTES = 30.0, 2 << 30
_LISTED = 20


class Command:
    """A command's process, started again after each file that ends it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._child: subprocess.Popen[bytes] | None = None

    def _started(self) -> Any:
        if self._child is None:
            words = [sys.executable, "-m", "benchmarks.fuzz.command_child", self._name]
            self._child = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._child

    def end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def outcome(self, content: bytes) -> Outcome:
        """What becomes of a file."""
        child = self._started()
        child.stdin.write(struct.pack("<I", len(content)) + content)
        child.stdin.flush()
        if not select.select([child.stdout], [], [], 4 * _SECONDS)[0]:
            self.end()
            return Outcome(HANGS, f"over {4 * _SECONDS:.0f} s")
        line = child.stdout.readline()
        if not line:
            child.wait()
            status = child.returncode
            self.end()
            return Outcome(CRASHED, f"status {status}")
        return Outcome(**json.loads(line))


@dataclasses.dataclass
class Tally:
    """Of one command.

    Attributes:
      verdicts, kinds: outcomes by class, inputs by kind of file.
      compared: accepted files whose result was compared with the definition.
      faults: (seed, change, what) of what must not be.
    """

    verdicts: Counter[str] = dataclasses.field(default_factory=Counter)
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)
    compared: int = 0
    slowest_s: float = 0.0
    largest_bytes: int = 0
    over_time: int = 0
    over_memory: int = 0
    faults: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)

    def add(self, seed: int, change: str, found: Outcome) -> None:
        self.verdicts[found.verdict] += 1
        self.compared += found.compared
        self.slowest_s = max(self.slowest_s, found.seconds)
        self.over_time += found.seconds > _SECONDS
        self.over_memory += found.largest_bytes > _BYTES >= self.largest_bytes
        self.largest_bytes = max(self.largest_bytes, found.largest_bytes)
        if found.verdict in (CRASHED, HANGS, TRACEBACK):
            self.faults.append((seed, change, f"{found.verdict}: {found.line}"))
        elif found.fault:
            self.faults.append((seed, change, f"{found.fault} [{found.line}]"))

    def summary(self) -> dict[str, object]:
        return {
            "inputs": sum(self.verdicts.values()),
            "by_kind": dict(sorted(self.kinds.items())),
            "outcomes": dict(sorted(self.verdicts.items())),
            "compared": self.compared,
            "over_30_s": self.over_time,
            "over_2_gb": self.over_memory,
            "slowest_s": round(self.slowest_s, 2),
            "largest_mb": self.largest_bytes >> 20,
            "faults": len(self.faults),
            "listed": [list(fault) for fault in self.faults[:_LISTED]],
        }


def mutants_for(
    name: str, files: Files, seeds: Sequence[int]
) -> Iterator[tuple[int, str, str, bytes]]:
    """(seed, kind of file, what was changed, bytes) for a command."""
    kinds = COMMANDS[name].files
    for seed in seeds:
        kind = kinds[seed % len(kinds)]
        some = files[kind]
        found = mutant(some[seed // len(kinds) % len(some)], seed)
        if found is not None:
            yield seed, kind, *found


def tally(name: str, files: Files, seeds: Sequence[int], seconds: float) -> Tally:
    """Of one command on the mutants of some seeds, as many as there is time for."""
    result, command = Tally(), Command(name)
    end = time.monotonic() + seconds
    try:
        for seed, kind, change, content in tqdm(mutants_for(name, files, seeds), name, len(seeds)):
            result.kinds[kind] += 1
            result.add(seed, change, command.outcome(content))
            if time.monotonic() > end:
                break
    finally:
        command.end()
    return result


def _body() -> None:
    expect_writable(FLAGS.json)
    if unknown := sorted(set(FLAGS.commands) - set(COMMANDS)):
        raise ValueError(f"--commands: got {', '.join(unknown)}, expected {', '.join(COMMANDS)}")
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.inputs)
    found = {
        name: tally(name, files_for(name, FLAGS.cases), seeds, FLAGS.seconds_each)
        for name in FLAGS.commands
    }
    for name, result in found.items():
        print(f"{name:<10} {result.summary()}")
    if FLAGS.json:
        write_json(FLAGS.json, {
            "command": typed_command("benchmarks.fuzz.commands"),
            "seed": FLAGS.seed,
            "versions": versions_of("ai-edge-litert", "flatbuffers", "numpy", "tflite-micro"),
            "commands": {name: result.summary() for name, result in found.items()},
        })  # fmt: skip
    if any(result.faults or result.over_time or result.over_memory for result in found.values()):
        sys.exit(1)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
