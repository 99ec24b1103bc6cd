# SPDX-License-Identifier: Apache-2.0
"""Folders that appear whole: made beside their place, then exchanged with what is there.

At no moment is the place without a whole folder once it had one. What a killed process leaves is
cleaned up by the next one that works for the same place.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tflm_vit import leftovers

_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2), Linux 3.15 and glibc 2.28
_OLD = "replaced"


def _exchanged(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no library None
        return False
    names = (os.fsencode(one), os.fsencode(other))
    status = rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_EXCHANGE))
    return int(status) == 0


def put(made: Path, place: Path) -> None:
    """Moves the folder ``made`` to ``place``; a folder that was there ends beside ``made``.

    Args:
      made: a complete folder on the file system of ``place``, in a folder of `working_folder`.
    """
    if not place.exists():
        os.replace(made, place)
    elif not _exchanged(made, place):
        # A kill between the two is mended by the next `working_folder` for this place.
        os.replace(place, made.parent / _OLD)
        os.replace(made, place)


def clean_up(place: Path) -> None:
    """Restores ``place`` if a killed process left it away, and removes what such ones left."""
    for name in leftovers.abandoned(place.parent, f".{place.name}-"):
        left = place.parent / name
        if (left / _OLD).is_dir() and not place.exists():
            os.replace(left / _OLD, place)
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def working_folder(place: Path) -> Iterator[Path]:
    """A new folder beside ``place``, gone afterwards; leftovers of killed processes go first."""
    clean_up(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=leftovers.prefix(f".{place.name}-"), dir=place.parent)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def output_folder(place: str | os.PathLike[str]) -> Iterator[None]:
    """Makes a folder for what the block writes; if it fails before it wrote, the folder is gone."""
    new = not os.path.isdir(place)
    os.makedirs(place, exist_ok=True)
    try:
        yield
    except BaseException:
        if new:
            with contextlib.suppress(OSError):  # there is something in it
                os.rmdir(place)
        raise
