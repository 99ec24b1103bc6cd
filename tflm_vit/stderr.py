# SPDX-License-Identifier: Apache-2.0
"""Keeps off the screen what C++ libraries write to file descriptor 2.

TensorFlow logs some lines while it is imported whatever TF_CPP_MIN_LOG_LEVEL says.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from tflm_vit.interrupt import screen as screen_at


class Captured:
    """What is written to file descriptor 2 for a while."""

    def __init__(self, screen: IO[str], log: IO[bytes]) -> None:
        self.screen = screen
        self._log = log

    def show(self) -> None:
        """Passes it on: it may say why something failed."""
        self._log.seek(0)
        self.screen.write(self._log.read().decode("utf-8", "replace"))
        self.screen.flush()


@contextlib.contextmanager
def captured_stderr() -> Iterator[Captured]:
    """Keeps C++ chatter off the screen; `screen` still writes there."""
    sys.stderr.flush()
    saved = os.dup(2)
    with os.fdopen(os.dup(saved), "w") as screen, tempfile.TemporaryFile() as log:
        try:
            os.dup2(log.fileno(), 2)
            with screen_at(screen.fileno()):
                yield Captured(screen, log)
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
