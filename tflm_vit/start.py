# SPDX-License-Identifier: Apache-2.0
"""What has to be in place before a command imports what it needs, which may take seconds."""

from __future__ import annotations

import functools
import gc
import os
import sys
from types import TracebackType
from typing import IO

from tflm_vit import interrupt, limited
from tflm_vit.failures import NO_MEMORY_TO_START, cannot_load
from tflm_vit.installed import missing_line


def package_of_commands(package: str) -> None:
    """The first statement of a package whose modules run as `python -m PACKAGE.COMMAND`.

    Ctrl-C is one line from here on, and TensorFlow keeps its start-up messages for itself. Does
    nothing where the package is a library: runpy leaves "-m" in `sys.argv` only while it looks for
    the module that it is to run.
    """
    if sys.argv[:1] != ["-m"] or "-m" not in sys.orig_argv[:-1]:
        return
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    if module.split(".")[0] == package:
        command(module.rpartition(".")[2])


def command(name: str) -> None:
    """The same for a process that is known to be the command `name`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # its threads sleep, not wait in a loop
    _expect_memory(name)
    limited.continue_in_child(name)
    sys.excepthook = functools.partial(_cannot_start, name)
    interrupt.guard_command(name)
    gc.disable()  # imports leave no garbage
    _quiet()


_LEAST_BYTES = 256 << 20  # with less OpenBLAS ends the process without a word


def _expect_memory(name: str) -> None:
    limit = limited.limit_bytes()
    if limit is not None and limit < _LEAST_BYTES:
        print(
            f"{name}: {NO_MEMORY_TO_START}: got a limit of {limit >> 20} MB (ulimit -v), expected "
            f"at least {_LEAST_BYTES >> 20}, mostly 1000",
            file=sys.stderr,
        )
        sys.exit(1)


def _cannot_start(
    name: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Says in one line which library is missing, or that memory does not even hold them."""
    if cannot_load(error) or isinstance(error, MemoryError):
        print(f"{name}: {NO_MEMORY_TO_START}", file=sys.stderr, flush=True)
        os._exit(1)  # half-loaded libraries crash where the interpreter unloads them
    elif isinstance(error, ModuleNotFoundError) and error.name:
        print(f"{name}: {missing_line(error.name, name)}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


class _Screen:
    """Standard error while file descriptor 2 goes nowhere."""

    before: IO[str] | None = None  # what `sys.stderr` was


def _quiet() -> None:
    """C++ libraries write to file descriptor 2 while they are imported, whatever they are told."""
    if _Screen.before is not None:
        return
    try:
        saved = os.dup(2)
    except OSError:
        return  # closed: nothing to keep free
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    _Screen.before = sys.stderr
    sys.stderr = os.fdopen(saved, "w", buffering=1, errors="backslashreplace")
    interrupt.use_screen(saved)


def imported() -> None:
    """Everything is imported: standard error is file descriptor 2 again.

    Under a limit of memory it stays another one: what libraries say there when they abort is left
    out, `tflm_vit.limited` says it.
    """
    sys.excepthook = sys.__excepthook__
    gc.freeze()
    gc.enable()
    if _Screen.before is None or limited.is_child():
        return
    sys.stderr.flush()
    os.dup2(sys.stderr.fileno(), 2)
    interrupt.use_screen(2)
    sys.stderr.close()
    sys.stderr, _Screen.before = _Screen.before, None
