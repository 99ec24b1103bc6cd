# SPDX-License-Identifier: Apache-2.0
"""Temporary names that say whose they are, so that what a killed process left can be told."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import zlib

_MARK = re.compile(r"([0-9a-f]{8})-(\d+)-\w{8}")


def _machine() -> str:
    # A process number means nothing on another machine that works in the same folder.
    return f"{zlib.crc32(platform.node().encode()):08x}"


def prefix(start: str) -> str:
    """What a temporary name of this process begins with; `tempfile` adds eight letters."""
    return f"{start}{_machine()}-{os.getpid()}-"


def abandoned(folder: str | os.PathLike[str], start: str) -> list[str]:
    """Names in a folder that begin with ``start`` and that a process made which has ended.

    Those of other machines are not among them.
    """
    try:
        names = [name for name in os.listdir(folder) if name.startswith(start)]
    except OSError:  # whoever wants to write there will say why
        return []
    found = ((name, _MARK.fullmatch(name[len(start) :])) for name in sorted(names))
    return [n for n, m in found if m and m[1] == _machine() and not _alive(int(m[2]))]


def _alive(process: int) -> bool:
    if os.name == "nt":  # there os.kill(process, 0) is Ctrl-C to the whole console
        return _alive_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # PermissionError: somebody else's
        return True
    return True


_QUERY = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
_STILL_ACTIVE = 259  # of GetExitCodeProcess
_ACCESS_DENIED = 5


def _alive_on_windows(process: int) -> bool:
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(_QUERY, False, process)
    if not handle:
        return int(ctypes.get_last_error()) == _ACCESS_DENIED  # type: ignore[attr-defined]
    status = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(status))
    kernel.CloseHandle(handle)
    return not known or status.value == _STILL_ACTIVE
