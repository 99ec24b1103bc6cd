# SPDX-License-Identifier: Apache-2.0
"""What an HDF5 file unpacks to, looked at before a library unpacks it.

A data set may promise any number of values in a few bytes (its filters, or its fill value), and may
lie in another file. Keras writes none of that.
"""

from __future__ import annotations

import os
import zipfile
from typing import IO, Any

from tflm_vit.files import checked_archive

_TIMES = 4  # what compressed weights may unpack to, in times the file's size ...
_FREE_BYTES = 1 << 28  # ... and what any file may
_WEIGHTS = "model.weights.h5"


def expect_hdf5(file: str | IO[bytes], size_bytes: int) -> None:
    """Checks the data sets of an HDF5 file.

    Raises:
      ValueError: they have more bytes than such a file holds, or lie elsewhere. OSError and what
        h5py raises: damaged.
    """
    import h5py

    total = 0

    def count(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Group):
            _expect_own(item, name)
            return
        if not isinstance(item, h5py.Dataset):
            return
        total += int(item.size or 0) * int(item.dtype.itemsize)
        if item.external or item.is_virtual:
            raise ValueError(f"{name[:80]}: its values are in another file")

    with h5py.File(file, "r") as opened:
        _expect_own(opened, "/")
        opened.visititems(count)
    if total > max(_FREE_BYTES, _TIMES * size_bytes):
        raise ValueError(f"its arrays unpack to {total} bytes, the file has {size_bytes}")


def _expect_own(group: Any, name: str) -> None:
    """ValueError for an entry that is a name of something else, perhaps in another file."""
    import h5py

    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{name[:80]}: {key[:80]} is a link, perhaps into another file")


def expect_keras(path: str) -> None:
    """The same for the weights in a `.keras` archive.

    Raises:
      ValueError: as `expect_hdf5`, or the archive itself unpacks to more than it has.
    """
    with zipfile.ZipFile(checked_archive(path)) as archive:
        if _WEIGHTS not in archive.namelist():
            return
        with archive.open(_WEIGHTS) as stream:
            expect_hdf5(stream, archive.getinfo(_WEIGHTS).file_size)


def expect_weights(path: str) -> None:
    """The same for an HDF5 file by its name."""
    expect_hdf5(path, os.stat(path).st_size)
