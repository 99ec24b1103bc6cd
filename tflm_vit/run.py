# SPDX-License-Identifier: Apache-2.0
"""The one boundary of every command: what a user can cause ends with one line and a status.

    0    done
    1    an input, a file or the machine is the reason; the line says what to do
    2    the flags are
    130  Ctrl-C

A defect of this toolkit is none of these: its traceback is shown.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import re
import select
import shlex
import sys
from collections.abc import Callable, Sequence

from tflm_vit import interrupt, start
from tflm_vit.failures import failure_line
from tflm_vit.files import naming
from tflm_vit.flag_set import Flag, FlagError, FlagSet

_BAD_FLAGS = 2
_ABSOLUTE = re.compile(r"(^|=)(?:[A-Za-z]:)?[/\\](?:[^/\\]+[/\\])*(?=[^/\\]+[/\\]*$)")
_BROKEN_PIPE = 141  # 128 + SIGPIPE: the reader of the output, e.g. `head`, has gone


def run(
    flags: FlagSet,
    body: Callable[[], None],
    argv: Sequence[str] | None = None,
    about: Flag[str] | None = None,
) -> None:
    """Parses a command's flags and runs its body.

    Args:
      flags: what the command takes; its name begins the line.
      body: what the command does; has removed its temporary files when it raises.
      argv: words behind the command's name, in a process that is not the command's own.
      about: the flag of the file that the command is about: errors begin with its name.

    Raises:
      SystemExit: with a status; the line has been written.
    """
    if argv is None:
        interrupt.guard_command(flags.command)
        start.imported()
    words = sys.argv[1:] if argv is None else list(argv)
    if flags.asks_for_help(words):
        end(flags.command, lambda: print(flags.help()))
        sys.exit(0)
    try:
        flags.parse(words)
    except FlagError as error:
        _exit(flags.command, str(error), _BAD_FLAGS)
    end(flags.command, body if about is None else functools.partial(_about, about.value, body))


def _about(path: str, body: Callable[[], None]) -> None:
    with naming(path):
        body()


def end(name: str, body: Callable[[], None]) -> None:
    """Runs a body; what it raises becomes the end of the process."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be no UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with interrupt.raising():
            body()
            sys.stdout.flush()
    except BaseException as error:
        if interrupt.interrupted() or isinstance(error, KeyboardInterrupt):
            _exit("", f"\n{name}: interrupted", interrupt.STATUS)
        if isinstance(error, OSError) and _nobody_reads(error):
            _leave_output()
            sys.exit(_BROKEN_PIPE)
        line = failure_line(error, name)
        if line is None:
            raise
        _leave_output()
        _exit(name, line, 1)


def _exit(name: str, line: str, status: int) -> None:
    print(f"{name}: {line}" if name else line, file=sys.stderr)
    sys.exit(status)


def _leave_output() -> None:
    """Makes sure that the interpreter, when it ends, does not fail on standard output again."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def _nobody_reads(error: OSError) -> bool:
    """Whether an error says that standard output is a pipe without a reader."""
    if not hasattr(select, "poll"):  # Windows; there it is an EINVAL of no file
        return isinstance(error, BrokenPipeError) or (
            error.errno == errno.EINVAL and error.filename is None
        )
    if not isinstance(error, BrokenPipeError):
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def typed_command(module: str) -> str:
    """This process as `python -m module flags`, for a record of how a result was made.

    Absolute paths are shortened to their last part: they say nothing on another machine.
    """
    words = [_ABSOLUTE.sub(r"\1", word) for word in sys.argv[1:]]
    return shlex.join(["python", "-m", module, *words])
