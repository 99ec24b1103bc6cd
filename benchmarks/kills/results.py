# SPDX-License-Identifier: Apache-2.0
"""What a command wrote, in a form that is equal for equal results, to the bit.

Left out: how it was called and how long it took, and logs for people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

# Of a run, not of its result. A resume makes no compilations for what is done.
_OF_THE_RUN = {
    "command",
    "compilations",
    "seconds",
    "seconds_of_this_run",
    "steps_per_second",
    "validation_seconds",
}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _array(value: Any) -> str:
    array = np.ascontiguousarray(value)
    return f"{array.dtype}{array.shape} {_digest(array.tobytes())}"


def _hdf5(path: Path) -> dict[str, str]:
    import h5py

    found = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = _array(item[()])

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def _npz(path: Path) -> dict[str, str]:
    with np.load(path) as data:
        return {name: _array(data[name]) for name in sorted(data.files)}


def _without(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {k: _without(v, names) for k, v in value.items() if k not in names}
    return [_without(v, names) for v in value] if isinstance(value, list) else value


_READERS: dict[str, Callable[[Path], Any]] = {".h5": _hdf5, ".npz": _npz}


def of_folder(
    folder: Path, ignored: Collection[str] = (), dropped: Collection[str] = ()
) -> dict[str, Any]:
    """Relative name of each file -> its content, comparable; leftovers are files as well.

    Args:
      ignored: names of files and folders, of logs and of what is compared in another way.
      dropped: keys of JSON files.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or not set(ignored).isdisjoint(name.parts):
            continue
        if path.suffix == ".json":
            tree = json.loads(path.read_text())
            found[name.as_posix()] = _without(tree, {*_OF_THE_RUN, *dropped})
        else:
            read = _READERS.get(path.suffix, lambda p: _digest(p.read_bytes()))
            found[name.as_posix()] = read(path)
    return found


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names whose contents differ, or that only one has."""
    return sorted(k for k in {*one, *other} if k not in one or k not in other or one[k] != other[k])
