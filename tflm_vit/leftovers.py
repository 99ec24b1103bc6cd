# SPDX-License-Identifier: Apache-2.0
"""Temporary names that say whose they are, so that what a killed process left can be told."""

from __future__ import annotations

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
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # PermissionError: somebody else's
        return True
    return True
