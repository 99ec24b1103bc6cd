# SPDX-License-Identifier: Apache-2.0
"""Accuracies of a long measurement that are kept as they are found, so that a kill loses none."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from nas.space.any_space import AnySubnet
from nas.supernet.files import WEIGHTS_FILE
from tflm_vit.files import (
    FileError,
    expect_writable_folder,
    opened,
    parse_json,
    read_json,
    reading,
    write_json,
)
from tflm_vit.folders import output_folder

MEASURED_FILE = "measured.jsonl"
SETUP_FILE = "setup.json"


class Remembered:
    """A function sub-network -> accuracy 0..1 with a file of what it found.

    Args:
      path: one JSON object a line; a last line that a kill cut off is ignored and overwritten.
      accuracy: called for sub-networks that the file lacks.
    """

    def __init__(self, path: str, accuracy: Callable[[AnySubnet], float]) -> None:
        self.path, self.accuracy = path, accuracy
        self.known: dict[str, float] = {}
        whole = b""
        if os.path.exists(path):
            with open(path, "rb") as file:
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            if len(whole) != len(text):
                os.truncate(path, len(whole))
        with reading(path, "accuracies of nas.evolve_space"):
            for line in whole.splitlines():
                entry = parse_json(line.decode())
                self.known[_key(entry["config"])] = float(entry["accuracy"])

    def __call__(self, config: AnySubnet) -> float:
        data = config.to_dict()
        key = _key(data)
        if key not in self.known:
            self.known[key] = self.accuracy(config)
            line = json.dumps({"config": data, "accuracy": self.known[key]}) + "\n"
            with open(self.path, "ab") as file:
                file.write(line.encode())
        return self.known[key]


def _key(config: dict[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)


def supernet_mark(directory: str) -> int:
    """A number that tells supernets apart: CRC-32 of the weights' file."""
    with opened(os.path.join(directory, WEIGHTS_FILE)) as file:
        return zlib.crc32(file.read())


@contextlib.contextmanager
def claimed(directory: str, setup: dict[str, Any], resume: bool) -> Iterator[None]:
    """Around work in a folder of results: of what was refused before it found any no claim stays.

    Raises:
      ValueError: as `claim`. OSError: the folder cannot be written.
    """
    expect_writable_folder(directory)
    path = os.path.join(directory, SETUP_FILE)
    with output_folder(directory):
        new = not os.path.exists(path)
        claim(directory, setup, resume)
        try:
            yield
        except BaseException:
            if new and os.listdir(directory) == [SETUP_FILE]:
                os.unlink(path)
            raise


def claim(directory: str, setup: dict[str, Any], resume: bool) -> None:
    """Makes a folder for results of one setup, or goes on in it.

    Raises:
      ValueError: it has results and `resume` is not given, or they are of another setup.
    """
    path = os.path.join(directory, SETUP_FILE)
    os.makedirs(directory, exist_ok=True)
    if not os.path.exists(path):
        write_json(path, setup)
        return
    if not resume:
        raise ValueError(f"{path}: exists; give --resume to go on with it, or another --out")
    before = read_json(path)
    if not isinstance(before, dict):
        raise FileError(f"{path}: got {type(before).__name__}, expected a JSON object")
    different = sorted(k for k in {*before, *setup} if before.get(k) != setup.get(k))
    if different:
        raise ValueError(
            f"{path}: made with another {', '.join(different)}; give the same or another --out"
        )
