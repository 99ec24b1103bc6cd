# SPDX-License-Identifier: Apache-2.0
"""Files that never end, or that a small file becomes when it is unpacked: refused, not waited for.

A pipe that nobody writes into would hold the command for ever: the tests end by their time-out.
"""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware.elf import Elf
from keras_models.canvases.idx import read_items
from keras_models.datasets.core import DatasetError
from keras_models.load import WEIGHTS_FILE, ModelNotFoundError
from keras_models.speech.recorded import RecordedSpeaker
from keras_models.speech.synthesizer import SpeechError
from keras_models.text.manpages import pages
from keras_models.training.fit import digest_of
from nas.evolution.result_cache import supernet_mark
from nas.search.storage import repair_journal
from nas.supernet import files
from nas.supernet.initial import initial_digest
from tflm_vit.files import FileError


@pytest.fixture(autouse=True)
def _an_end() -> Iterator[None]:
    signal.alarm(60)
    yield
    signal.alarm(0)


def _pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


def test_pipes_in_the_place_of_files(tmp_path: Path) -> None:
    _pipe(tmp_path / WEIGHTS_FILE)
    with pytest.raises(ModelNotFoundError, match="got a pipe"):
        digest_of(str(tmp_path))
    _pipe(tmp_path / files.WEIGHTS_FILE)
    for read in (supernet_mark, initial_digest):
        with pytest.raises(OSError, match="got a pipe"):
            read(str(tmp_path))
    with pytest.raises(OSError, match="got a pipe"):
        repair_journal(str(_pipe(tmp_path / "study.log")))
    _pipe(tmp_path / "digits" / "0.wav")
    with pytest.raises(SpeechError, match="got a pipe"):
        RecordedSpeaker(str(tmp_path)).say("zero", np.random.default_rng(0))


def test_manual_pages_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "man1"
    _pipe(folder / "a.1.gz")
    (folder / "b.1.gz").write_bytes(gzip.compress(b"a page"))
    damaged = bytearray(gzip.compress(os.urandom(1000)))
    damaged[10] = 0xFF  # an impossible kind of block: zlib.error
    (folder / "c.1.gz").write_bytes(damaged)
    (folder / "d.1.gz").write_bytes(gzip.compress(bytes(17 << 20), 1))
    assert list(pages(str(tmp_path), "en")) == [("b.1.gz", "a page")]


def test_pictures_that_unpack_to_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_models.canvases.idx._MOST_BYTES", 1 << 20)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(DatasetError, match="unpacks to more than 1048576 bytes"):
        read_items(str(tmp_path), "train")


def test_an_image_of_firmware_of_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "large.elf"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(FileError, match=r"large.elf: got 5368709120 bytes, expected at most"):
        Elf(path)
