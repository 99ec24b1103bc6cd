# SPDX-License-Identifier: Apache-2.0
"""One command on file after file, in a process that a file may end.

    python -m benchmarks.fuzz.command_child COMMAND   # reads files from stdin, each behind a length

It prints a line of JSON a file, an `Outcome`. `Command` is the other end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import io
import json
import os
import re
import resource
import shutil
import struct
import sys
import tempfile
import traceback
from pathlib import Path
from typing import IO

from benchmarks.fuzz.command_table import COMMANDS, ReaderCommand

_FOLDERS = re.compile(r'File "[^"]*/')
ACCEPTED, REFUSED, TRACEBACK, CRASHED, HANGS = "accepted", "refused", "traceback", "crash", "hangs"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
      verdict: one of the words above.
      line: what a refusal says, or a traceback's last lines.
      fault: what is wrong all the same: no line or several, files left behind, another result.
      compared: whether what was accepted was compared with the definition.
      seconds: of processors, of the command and of what it started.
      largest_bytes: the process's most memory so far.
    """

    verdict: str
    line: str = ""
    fault: str = ""
    compared: bool = False
    seconds: float = 0.0
    largest_bytes: int = 0


def _refusal_fault(command: str, text: str, out: Path) -> str:
    """A refusal is one line that begins with the command's name, and leaves no file."""
    lines = [
        line for line in text.replace("\r", "\n").split("\n") if line.startswith(f"{command}:")
    ]
    left = sorted(path.name for path in out.iterdir())
    if "Warning:" in text:
        return "a warning"
    if len(lines) != 1 or not text.rstrip("\n").endswith(lines[0]):
        return f"got {len(lines)} lines, expected one"
    return f"left {left}" if left else ""


def _processor_seconds() -> float:
    """So far; another program beside this one does not count."""
    return sum(os.times()[:4])


def _call(name: str, command: ReaderCommand, model: Path, out: Path, compare: bool) -> Outcome:
    said, errors = io.StringIO(), io.StringIO()
    started = _processor_seconds()
    status: object = 0
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            importlib.import_module(command.module).main(command.words(str(model), str(out)))
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        return Outcome(TRACEBACK, _last_lines(), seconds=_processor_seconds() - started)
    seconds = _processor_seconds() - started
    if status:
        text = errors.getvalue()
        line = text.strip().replace("\r", "\n").split("\n")[-1]
        return Outcome(REFUSED, line, _refusal_fault(name, text, out), False, seconds)
    fault = "a warning" if "Warning:" in errors.getvalue() else ""
    if compare and not fault:
        try:
            fault = command.wrong(model, out)
        except Exception:
            fault = f"comparing: {_last_lines()}"
    return Outcome(ACCEPTED, "", fault, compare, seconds)


def _last_lines() -> str:
    """Of the traceback, for a record: files without the folders of this machine."""
    lines = traceback.format_exc().strip().splitlines()
    return _FOLDERS.sub('File "', " | ".join(lines[-4:]))


def outcome_of(name: str, content: bytes, compare: bool, work: Path) -> Outcome:
    """What becomes of a file.

    Args:
      compare: what is accepted with the definition.
      work: folder for the file and what the command writes.
    """
    model, out = work / "model.tflite", work / "out"
    model.write_bytes(content)
    out.mkdir()
    try:
        return _call(name, COMMANDS[name], model, out, compare)
    finally:
        shutil.rmtree(out)


def _serve(name: str, answers: IO[str]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stream, accepted = sys.stdin.buffer, 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        while header := stream.read(4):
            (size,) = struct.unpack("<I", header)
            compare = accepted % COMMANDS[name].compared == 0
            found = outcome_of(name, stream.read(size), compare, Path(work))
            if found.verdict == ACCEPTED:
                accepted += 1
                gc.collect()  # an emulated board is in a cycle, and its memory the next file's
            largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            found = dataclasses.replace(found, largest_bytes=largest)
            print(json.dumps(dataclasses.asdict(found)), file=answers, flush=True)


def _answers() -> IO[str]:
    """Standard output for the answers alone: what commands and libraries write there goes away."""
    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    return answers


if __name__ == "__main__":
    _serve(sys.argv[1], _answers())
