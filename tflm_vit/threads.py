# SPDX-License-Identifier: Apache-2.0
"""Work in threads that Ctrl-C ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Stopped = Callable[[], bool]

_LOOK_UP_S = 0.2


def usable_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    work: Callable[[Item, Stopped], Result], items: Sequence[Item], threads: int
) -> list[Result]:
    """`work(item, stopped)` of each item, in at most `threads` threads at a time; its results.

    After a failure or Ctrl-C no other item begins, and `stopped()` tells those that run; they
    should look at it every second or so. Called in the main thread, which alone learns of Ctrl-C.

    Raises:
      Exception: the first that `work` raised.
    """
    stopped = threading.Event()
    failures: list[BaseException] = []

    def begin(item: Item) -> Result:
        if stopped.is_set():
            raise CancelledError
        try:
            return work(item, stopped.is_set)
        except BaseException as failure:
            # Here, not in the main thread: this worker's next item would come first.
            failures.append(failure)
            stopped.set()
            raise

    with ThreadPoolExecutor(threads) as pool:
        try:
            running = [pool.submit(begin, item) for item in items]
            # Looks up now and then: a Ctrl-C that comes just before Python waits for a lock is not
            # seen until that lock is free.
            while wait(running, timeout=_LOOK_UP_S).not_done:
                pass
        finally:
            stopped.set()
    if failures:
        raise failures[0]
    return [done.result() for done in running]
