# SPDX-License-Identifier: Apache-2.0
"""How long an emulated board may work on an answer: seconds of its own time, so that the machine's
load changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from boards import Board
from firmware.emulator.faults import EndlessFault
from firmware.errors import FirmwareError


def instructions_in(board: Board, seconds: float) -> int:
    """What a board does in a time of its own: an instruction a cycle."""
    return max(1, round(seconds * board.clock.system_hz))


@contextlib.contextmanager
def waiting(timeout_s: float) -> Iterator[None]:
    """Around emulation in a command with --timeout: firmware that does not answer is its error.

    Raises:
      FirmwareError: it worked for more than `instructions_in(board, timeout_s)`.
    """
    try:
        yield
    except EndlessFault as fault:
        raise FirmwareError(
            f"{fault}: got no answer in {timeout_s:g} seconds of the board's own time; give a slow "
            "network more with --timeout, or mend the loop"
        ) from fault
