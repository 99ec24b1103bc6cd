# SPDX-License-Identifier: Apache-2.0
"""Files of weights that promise more than they hold are refused before a library believes them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from keras_models.hdf5_sizes import expect_keras, expect_weights


def test_values_that_are_not_there(tmp_path: Path) -> None:
    """A fill value and a filter: terabytes and a gigabyte in some kilobytes."""
    path = str(tmp_path / "big.weights.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", shape=(1 << 40,), dtype="f4", fillvalue=1.0)
    with pytest.raises(ValueError, match="unpack to 4398046511104 bytes"):
        expect_weights(path)
    with zipfile.ZipFile(tmp_path / "big.keras", "w") as archive:
        archive.write(path, "model.weights.h5")
    with pytest.raises(ValueError, match="unpack to 4398046511104 bytes"):
        expect_keras(str(tmp_path / "big.keras"))


def test_values_of_another_file(tmp_path: Path) -> None:
    path = str(tmp_path / "linked.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (4,), "u1", external=[("/etc/hostname", 0, 4)])
    with pytest.raises(ValueError, match="in another file"):
        expect_weights(path)


def test_weights_as_they_are_written(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["a"] = np.arange(1000.0)
    (tmp_path / "a.h5").write_bytes(stream.getvalue())
    expect_weights(str(tmp_path / "a.h5"))
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", stream.getvalue())
    expect_keras(str(tmp_path / "a.keras"))
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(1 << 24))
    with pytest.raises(ValueError, match="its entries unpack to 16777216 bytes"):
        expect_keras(str(tmp_path / "bomb.keras"))
