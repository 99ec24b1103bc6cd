# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C is one line and status 130, from a command's first import to its last byte.

Before a command's body runs there is nothing to clean up: the process ends at once. In the body
Ctrl-C is a KeyboardInterrupt, so that temporary files are removed on the way out.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tflm_vit.failures import NO_MEMORY_TO_START

STATUS = 130  # 128 + SIGINT, what a shell expects
_SPARE_BYTES = 64 << 20  # more than OpenBLAS asks for at once


class _State:
    """Of this process.

    Attributes:
      name: of the command, what the line begins with; "" in a process that is none.
      screen: file descriptor of the user's standard error, also while file descriptor 2 is a file.
      received: Ctrl-C came while the body ran.
    """

    name = ""
    screen = 2
    received = False


def guard_command(name: str) -> None:
    """Until the command's body runs, Ctrl-C ends this process with one line of `name`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler or _State.name:
        _State.name = name
        signal.signal(signal.SIGINT, _quit)


def interrupted() -> bool:
    """Whether Ctrl-C ended the body, whatever the libraries on the way made of it."""
    return _State.received


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """In the block Ctrl-C raises KeyboardInterrupt, also where Python would only print it."""
    previous = signal.getsignal(signal.SIGINT)
    ours = previous in (signal.default_int_handler, _quit, _raise)
    _State.received = False
    if not ours or threading.current_thread() is not threading.main_thread():
        yield  # ignored, as of a shell's background jobs, or somebody else's
        return
    hook = sys.unraisablehook

    def again(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            # Lost in a destructor: sent once more when that is over.
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            hook(unraisable)

    sys.unraisablehook = again
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        sys.unraisablehook = hook


def use_screen(descriptor: int) -> None:
    """From now on the user's standard error is this file descriptor."""
    _State.screen = descriptor


@contextlib.contextmanager
def screen(descriptor: int) -> Iterator[None]:
    """In the block the user's standard error is another file descriptor than 2."""
    previous, _State.screen = _State.screen, descriptor
    try:
        yield
    finally:
        _State.screen = previous


def _quit(*_: object) -> None:
    if _is_starved():
        os.write(_State.screen, f"{_State.name}: {NO_MEMORY_TO_START}\n".encode())
        os._exit(1)
    os.write(_State.screen, f"\n{_State.name}: interrupted\n".encode())
    os._exit(STATUS)


def _is_starved() -> bool:
    """Whether there is no more memory, or no threads: OpenBLAS, not Ctrl-C, sent the signal."""
    try:
        mmap.mmap(-1, _SPARE_BYTES).close()
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    except (OSError, RuntimeError):  # RuntimeError: can't start new thread
        return True
    return False


def _raise(*_: object) -> None:
    if _is_starved():
        raise MemoryError
    _State.received = True
    raise KeyboardInterrupt
