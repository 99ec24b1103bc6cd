# SPDX-License-Identifier: Apache-2.0
"""What compilers made, kept under a name made from everything it was made of.

    key = digest(compiler.identity, " ".join(flags), source, *headers)
    library = cached("host", "kernels", ".so", key, lambda work: compile_into(work))

An entry's file name has the key and the digest of its own bytes, so that one that was cut short, or
changed, is noticed when it is asked for, removed and made again. Processes that make the same entry
at a time do not disturb each other: each works in a folder of its own and renames the result.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from toolchain.errors import ToolchainError

VARIABLE = "TFLM_VIT_CACHE"
OLD_VARIABLES = ("VIT_HOST_CACHE", "VIT_TFLM_CACHE")
_ROOT = Path(__file__).resolve().parents[1]
_KEY_LENGTH, _CONTENT_LENGTH = 32, 16  # hexadecimal digits
_WORK = ".building-"
_STALE_SECONDS = 24 * 3600.0  # what a killed process left is removed after that


def folder() -> Path:
    """$TFLM_VIT_CACHE, a checkout's `build/cache`, or the user's cache folder.

    Raises:
      ToolchainError: a variable of an earlier version is set.
    """
    for old in OLD_VARIABLES:
        if os.environ.get(old):
            raise ToolchainError(f"${old} is not read any more; set ${VARIABLE} instead")
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    # An installed package has no such file beside it: nothing is written there.
    if (_ROOT / "pyproject.toml").is_file() and os.access(_ROOT, os.W_OK):
        return _ROOT / "build" / "cache"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tflm-vit"


def digest(*parts: bytes | str) -> str:
    """Hexadecimal key of a sequence of texts and contents; other cuts of them give others."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()[:_KEY_LENGTH]


def _content_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:_CONTENT_LENGTH]


def _entries(place: Path, start: str, suffix: str) -> Iterable[Path]:
    pattern = re.compile(rf"{re.escape(start)}([0-9a-f]{{{_CONTENT_LENGTH}}}){re.escape(suffix)}")
    try:
        names = sorted(os.listdir(place))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return (place / name for name in names if pattern.fullmatch(name))


def _sound(place: Path, start: str, suffix: str) -> Path | None:
    """An entry whose bytes are those that were written; others are removed."""
    for path in _entries(place, start, suffix):
        try:
            if _content_digest(path) == path.name[len(start) : -len(suffix)]:
                return path
        except FileNotFoundError:  # another process has just removed it
            continue
        _remove(path)
    return None


def _remove(path: Path) -> None:
    # Not ours to write: then the new entry says so, or lies beside it.
    with contextlib.suppress(OSError):
        path.unlink()


def _sweep(place: Path) -> None:
    """Removes what processes left that were killed long ago."""
    for left in place.glob(f"{_WORK}*"):
        try:
            old = time.time() - left.stat().st_mtime > _STALE_SECONDS
        except OSError:
            continue
        if old:
            shutil.rmtree(left, ignore_errors=True)


def cached(kind: str, name: str, suffix: str, key: str, make: Callable[[Path], Path]) -> Path:
    """The entry of that key; made when there is none, or none that is whole.

    Args:
      kind: folder in the cache, e.g. `host`.
      name, suffix: first and last part of the file's name, for people and for tools.
      key: of `digest`, of everything that decides the content.
      make: writes it into the folder that it gets, and returns its path there.

    Returns:
      Path of the entry; its bytes have just been checked.

    Raises:
      ToolchainError: the folder can not be written; what `make` raises comes through.
    """
    # Few entries in a folder: listing it is how an entry is found.
    place = folder() / kind / key[:2]
    start = f"{name}-{key}-"
    found = _sound(place, start, suffix)
    if found is not None:
        return found
    try:
        place.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        work = tempfile.mkdtemp(prefix=_WORK, dir=place)
    except OSError as error:
        raise _unwritable(error) from error
    try:
        made = make(Path(work))
        target = place / f"{start}{_content_digest(made)}{suffix}"
        try:
            os.replace(made, target)
        except OSError as error:
            raise _unwritable(error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _unwritable(error: OSError) -> ToolchainError:
    return ToolchainError(
        f"{folder()}: cannot write compiled code there ({error.strerror or error}); set "
        f"${VARIABLE} to a writable folder"
    )
