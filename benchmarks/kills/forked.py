# SPDX-License-Identifier: Apache-2.0
"""A command in a process forked from this one, which has imported TensorFlow for all of them.

A process of its own would take longer for the imports than for its work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.kills import events


@dataclasses.dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes:
      status: exit status; -9 for a kill.
      seconds: wall time.
      text: what it printed.
      moments: names of its moments, the last one that of a kill at one.
    """

    status: int
    seconds: float
    text: str
    moments: tuple[str, ...]


def _main(module: str, words: Sequence[str]) -> None:
    found = importlib.util.find_spec(module)
    assert found is not None, module
    package = found.submodule_search_locations is not None
    sys.argv = [module, *words]
    importlib.import_module(f"{module}.__main__" if package else module).main(list(words))


def _child(module: str, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(descriptor, number)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  to the end of the process
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    os.environ.update(environment)
    _main(module, words)


def run(
    module: str,
    words: Sequence[str],
    work: Path,
    watched: Sequence[Path],
    environment: Mapping[str, str],
    at: int | None = None,
    after: float | None = None,
) -> End:
    """Runs a command to its end, or kills it.

    Args:
      module, words: as `python -m` takes them.
      work: folder for what it prints.
      watched: folders whose changes are moments.
      environment: variables beside those of this process.
      at: kill before this moment.
      after: kill after so many seconds.
    """
    log, names = work / "printed", work / "moments"
    names.unlink(missing_ok=True)
    log.write_bytes(b"")
    sys.stdout.flush()
    sys.stderr.flush()
    started = time.monotonic()
    number = os.fork()
    # A group of its own, made by whoever is first: a kill takes it whole.
    with contextlib.suppress(OSError):  # parent: the child has ended
        os.setpgid(number, number)
    if number == 0:
        status = 1
        try:
            _child_with_hook(module, words, (log, names), watched, environment, at)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):  # as the interpreter does
                print(end.code, file=sys.stderr)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    status = _wait(number, None if after is None else started + after)
    seconds = time.monotonic() - started
    moments = names.read_text().splitlines() if names.exists() else []
    return End(status, seconds, log.read_text(errors="replace"), tuple(moments))


def _child_with_hook(
    module: str,
    words: Sequence[str],
    logs: tuple[Path, Path],
    watched: Sequence[Path],
    environment: Mapping[str, str],
    at: int | None,
) -> None:
    events.watch(watched, logs[1], at)
    _child(module, words, logs[0], environment)


def _wait(number: int, deadline: float | None) -> int:
    """Waits for a child, or kills its group at a deadline, and also when this process is ended."""
    try:
        return _waited(number, deadline)
    except BaseException:
        os.killpg(number, signal.SIGKILL)
        raise


def _waited(number: int, deadline: float | None) -> int:
    while deadline is not None:
        found, status = os.waitpid(number, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.killpg(number, signal.SIGKILL)
            break
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
