# SPDX-License-Identifier: Apache-2.0
"""The lock of a journal file: held by a process, and gone with it.

Optuna's own locks are files that a killed process leaves behind: the others wait 30 s before they
remove one, and for ever where the journal has a relative path (the link then points nowhere).
"""

from __future__ import annotations

import os

from optuna.storages.journal import JournalFileOpenLock

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class ProcessLock(JournalFileOpenLock):
    """An exclusive flock(2) on ``PATH.lock``, which the kernel ends when its process dies.

    The file itself stays; an empty file means nothing.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = f"{path}.lock"
        self._file = -1

    def acquire(self) -> bool:
        """Waits for it.

        Raises:
          OSError: the file cannot be made, or its file system has no locks.
        """
        file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return True

    def release(self) -> None:
        """Gives it to the next one."""
        os.close(self._file)


def journal_lock(path: str) -> JournalFileOpenLock:
    """The best lock that this machine has for a journal file."""
    return ProcessLock(path) if fcntl is not None else JournalFileOpenLock(path)
