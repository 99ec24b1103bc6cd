# SPDX-License-Identifier: Apache-2.0
"""Which files of a project a translation unit can read: what its object depends on, and no more.

A project has headers of the board, the model and the application side by side. An object whose key
had all of them would be compiled again for every model.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import PurePosixPath

_NAMED = re.compile(
    rb"^[ \t]*(?:#[ \t]*include|\.include|\.incbin)[ \t]*[\"<]([^\">\n]+)[\">]", re.M
)
# A name that a macro makes, or a question whether a file is there: any file may be meant.
_OTHER = re.compile(rb"^[ \t]*#[ \t]*include(?:_next)?[ \t]*[^\"<\s]|__has_include|#embed", re.M)


@functools.lru_cache(maxsize=4096)
def _names(content: bytes) -> tuple[str, ...] | None:
    """What a file includes, whatever its conditions say; None where that cannot be read off."""
    if _OTHER.search(content):
        return None
    return tuple(name.decode(errors="replace") for name in _NAMED.findall(content))


def included(
    unit: PurePosixPath,
    files: Collection[PurePosixPath],
    folders: Sequence[PurePosixPath],
    read: Callable[[PurePosixPath], bytes],
) -> list[PurePosixPath]:
    """The files of a project that compiling one of them may read, itself first, then by path.

    All that a name can stand for in one of the folders counts, not only the first.

    Args:
      unit: the file that is compiled.
      files: all of the project.
      folders: where the compiler looks for an included name, beside the including file's own.
      read: content of a file.
    """
    known = {str(path): path for path in files}
    seen, waiting = {unit}, [unit]
    while waiting:
        path = waiting.pop()
        names = _names(read(path))
        if names is None:
            return [unit, *sorted(f for f in files if f != unit)]
        for name in names:
            for folder in (path.parent, *folders):
                found = known.get(posixpath.normpath(posixpath.join(str(folder), name)))
                if found is not None and found not in seen:
                    seen.add(found)
                    waiting.append(found)
    return [unit, *sorted(seen - {unit})]
