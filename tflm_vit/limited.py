# SPDX-License-Identifier: Apache-2.0
"""A command under a limit of memory (`ulimit -v`): what ends it is one line in any case.

Native libraries abort, or crash, where an allocation or a new thread fails; no Python code runs
then. So the command runs in a child, and this process only waits, hands signals on, and says what
became of it. Without a limit there is no child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

_CRASHES = ("SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP")
_HANDED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_FROM_THE_KERNEL = 0x80  # si_code of a signal by the terminal, which the child got as well
_SENT_TO_BOTH_S = 0.2
_DIES_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


class _State:
    """Whether this process is the child."""

    is_child = False


def limit_bytes() -> int | None:
    """The limit of this process's address space; None where there is none."""
    try:
        import resource
    except ImportError:
        return None  # of a system without such limits
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def is_child() -> bool:
    """Whether another process waits for this one, and says what ended it."""
    return _State.is_child


def continue_in_child(name: str) -> None:
    """Returns in a child if there is a limit, and in this process otherwise.

    Args:
      name: of the command, what the line begins with.
    """
    limit = limit_bytes()
    if limit is None or _State.is_child or not hasattr(signal, "sigwaitinfo"):
        return
    waited = {signal.SIGCHLD, *(getattr(signal, s) for s in _HANDED_ON)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _State.is_child = True
        return
    status = _status_of(child, waited)
    if os.WIFSIGNALED(status):
        _signalled(name, os.WTERMSIG(status), limit)
    os._exit(os.WEXITSTATUS(status))


def _status_of(child: int, waited: set[signal.Signals]) -> int:
    """Hands signals on until the child ends."""
    while True:
        got = signal.sigwaitinfo(waited)
        if got.si_signo == signal.SIGCHLD:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
        elif got.si_code != _FROM_THE_KERNEL:
            time.sleep(_SENT_TO_BOTH_S)  # sent to the whole group it has reached the child already
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, got.si_signo)


def _signalled(name: str, number: int, limit: int) -> None:
    """Ends as the child did, if that was no crash."""
    ended_by = signal.Signals(number).name
    if ended_by in _CRASHES:
        print(
            f"{name}: not enough memory: got a limit of {limit >> 20} MB (ulimit -v), under which "
            f"a library ended with {ended_by}; give more, TensorFlow takes 4000 and more",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        os._exit(1)
    with contextlib.suppress(OSError):  # SIGKILL is nobody's to handle
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
