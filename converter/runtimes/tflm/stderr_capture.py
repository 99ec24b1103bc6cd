# SPDX-License-Identifier: Apache-2.0
"""Catches what C code writes to stderr: TFLM's only way to say what went wrong.

TFLM's wheel prints with ``vfprintf(stderr)``, which Python's ``contextlib.redirect_stderr`` does
not see, so the file descriptor itself is pointed elsewhere for the duration.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from types import TracebackType
from typing import Self

_STDERR = 2
_LOCK = threading.Lock()  # the descriptor belongs to the process, not to a thread


class StderrCapture:
    """Context manager; ``text`` holds what was written, after the block.

    Output of other threads in the block is caught as well, so blocks are kept short.
    """

    def __init__(self) -> None:
        self.text = ""
        self._saved = -1
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed with the object)

    def __enter__(self) -> Self:
        _LOCK.acquire()
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
            self._saved = os.dup(_STDERR)
            os.dup2(self._file.fileno(), _STDERR)
        except BaseException:
            _LOCK.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.dup2(self._saved, _STDERR)
        os.close(self._saved)
        _LOCK.release()
        if self._file.tell():  # the descriptor's position, moved by the C side's writes
            self._file.seek(0)
            self.text += self._file.read().decode("utf-8", "replace")
            self._file.seek(0)
            self._file.truncate()


def one_line(text: str) -> str:
    """TFLM's messages, one after the other on a line; it ends lines with ``\\r\\n``."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
