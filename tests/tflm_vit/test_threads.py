# SPDX-License-Identifier: Apache-2.0
"""Threads end with their command, whenever Ctrl-C comes."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tflm_vit.threads import Stopped, in_threads


def _until(stopped: Stopped) -> bool:
    end = time.monotonic() + 5
    while not stopped() and time.monotonic() < end:
        time.sleep(0.01)
    return stopped()


def test_results_are_in_the_order_of_the_items() -> None:
    def work(item: int, stopped: Stopped) -> int:
        time.sleep(0.01 * (3 - item))
        return item * item

    assert in_threads(work, range(4), 3) == [0, 1, 4, 9]
    assert in_threads(work, [], 2) == []


def test_a_failure_ends_the_others() -> None:
    ended: list[int] = []
    both = threading.Barrier(2)

    def work(item: int, stopped: Stopped) -> None:
        if item > 1:
            ended.append(item)  # does not begin
        both.wait()
        if item:
            raise OSError("full")
        assert _until(stopped)
        ended.append(item)

    with pytest.raises(OSError, match="full"):
        in_threads(work, range(6), 2)
    assert ended == [0]


def test_ctrl_c_that_does_not_wake_the_main_thread_is_seen() -> None:
    """As one does that comes between Python's last look and its wait for a lock.

    Here the main thread blocks the signal, so that a worker's thread takes it: Python's handler
    then runs in the main thread as soon as that looks up.
    """
    seen: list[bool] = []

    def work(item: int, stopped: Stopped) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        time.sleep(0.1)  # the main thread waits by now
        os.kill(os.getpid(), signal.SIGINT)
        seen.append(_until(stopped))

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with pytest.raises(KeyboardInterrupt):
            in_threads(work, [0], 1)
    finally:
        signal.signal(signal.SIGINT, previous)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert seen == [True]
