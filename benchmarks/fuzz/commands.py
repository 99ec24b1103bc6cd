# SPDX-License-Identifier: Apache-2.0
"""Gives mutants of `.tflite` files to the commands that read one, and counts what becomes of them.

    python -m benchmarks.fuzz.commands --inputs=10000 --cases=FOLDER --json=commands.json --resume

Each command runs in a process of its own, all files one after another. The record is written every
half minute; --resume goes on from it. The exit status is 1 if a file crashes a command, gives a
traceback, takes over 30 s of a processor or 2 GB, is refused without a line or with files left
behind, or if what is accepted gives another result than the operators' definition.
"""

from __future__ import annotations

import itertools
import json
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.fuzz.command_child import CRASHED, HANGS, Outcome
from benchmarks.fuzz.command_files import Files, files_for
from benchmarks.fuzz.command_table import COMMANDS
from benchmarks.fuzz.mutate import mutant
from benchmarks.fuzz.tally import Tally
from benchmarks.versions import versions_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, read_json, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("commands", __doc__)
FLAGS.words("commands", list(COMMANDS), "Some of the commands.")
FLAGS.integer("inputs", 1000, "Mutants for each command.", 1)
FLAGS.number("seconds_each", 3600.0, "A command sees no more mutants after so many seconds.")
flags.cases(FLAGS, "Folder of .tflite files, whose pieces are mutated as well.")
flags.seed(FLAGS, "Of the first mutant.")
flags.json(FLAGS)
flags.resume(FLAGS, "Go on from the record in --json.")
_RECORD_EVERY_S = 30.0
_SPREAD = 2654435761  # neighbouring seeds take files far apart, so that each part has some of all
_HANGS_S = 600.0  # of the clock, beside whatever else runs


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
        if not select.select([child.stdout], [], [], _HANGS_S)[0]:
            self.end()
            return Outcome(HANGS, f"over {_HANGS_S:.0f} s")
        line = child.stdout.readline()
        if not line:
            child.wait()
            status = child.returncode
            self.end()
            return Outcome(CRASHED, f"status {status}")
        return Outcome(**json.loads(line))


def mutants_for(
    name: str, files: Files, seeds: Iterable[int]
) -> Iterator[tuple[int, str, str, bytes]]:
    """(seed, kind of file, what was changed, bytes) for a command."""
    kinds = COMMANDS[name].files
    for seed in seeds:
        kind = kinds[seed % len(kinds)]
        some = files[kind]
        found = mutant(some[seed * _SPREAD % len(some)], seed)
        if found is not None:
            yield seed, kind, *found


def tally(name: str, files: Files, result: Tally, inputs: int, seconds: float) -> Iterator[None]:
    """Adds what a command makes of mutants until there are so many, as long as there is time.

    Yields after each of them.
    """
    command, end = Command(name), time.monotonic() + seconds
    mutants = mutants_for(name, files, itertools.count(result.next_seed))
    try:
        with tqdm(total=inputs, initial=result.inputs, desc=name) as bar:
            while result.inputs < inputs and time.monotonic() < end:
                seed, kind, change, content = next(mutants)
                result.add(seed, kind, change, command.outcome(content))
                bar.update()
                yield
    finally:
        command.end()


def _started() -> dict[str, Tally]:
    """A tally of each command, from the record where the campaign goes on."""
    before: dict[str, Any] = {}
    if FLAGS.resume and FLAGS.json and Path(FLAGS.json).exists():
        before = read_json(FLAGS.json, "a record of this command")["commands"]
    made = {name: Tally.of(summary) for name, summary in before.items()}
    return made | {name: Tally(FLAGS.seed) for name in FLAGS.commands if name not in made}


def _write(found: dict[str, Tally]) -> None:
    if FLAGS.json:
        write_json(FLAGS.json, {
            "command": typed_command("benchmarks.fuzz.commands"),
            "seed": FLAGS.seed,
            "versions": versions_of("ai-edge-litert", "flatbuffers", "numpy", "tflite-micro"),
            "commands": {name: result.summary() for name, result in found.items()},
        })  # fmt: skip


def _body() -> None:
    expect_writable(FLAGS.json)
    if unknown := sorted(set(FLAGS.commands) - set(COMMANDS)):
        raise ValueError(f"--commands: got {', '.join(unknown)}, expected {', '.join(COMMANDS)}")
    found = _started()
    written = time.monotonic()
    for name in FLAGS.commands:
        files = files_for(name, FLAGS.cases)
        for _ in tally(name, files, found[name], FLAGS.inputs, FLAGS.seconds_each):
            if time.monotonic() > written + _RECORD_EVERY_S:
                _write(found)
                written = time.monotonic()
        _write(found)
    for name, result in found.items():
        print(f"{name:<10} {result.summary()}")
    if any(result.is_bad for result in found.values()):
        sys.exit(1)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
