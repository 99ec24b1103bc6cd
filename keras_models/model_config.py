# SPDX-License-Identifier: Apache-2.0
"""Whether the description of a Keras model names code that loading it would run.

A Lambda layer carries Python code, or names a function of any module; Keras asks before it runs
the first in its own format, and older readers do not ask at all. So such files are refused before
one of them reads them.
"""

from __future__ import annotations

import builtins
import json
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

_CONFIG = "config.json"
_ATTRIBUTE = "model_config"
_CODE = ("Lambda", "__lambda__")  # classes
_HARMLESS_MODULES = ("", "builtins", "__main__")


def expect_no_code(text: str | bytes) -> None:
    """Checks a model's JSON.

    Raises:
      ValueError: it is none, has code, or names a function or class of Python's own library.
    """
    for entry in _objects(json.loads(text)):
        name = str(entry.get("class_name", "")).rpartition(">")[2]
        if name in _CODE or entry.get("function_type") == "lambda":
            raise ValueError("it has a Lambda layer")
        module = str(entry.get("module") or "").partition(".")[0]
        known = entry.get("config")
        is_builtin = name == "function" and isinstance(known, str) and hasattr(builtins, known)
        if module not in _HARMLESS_MODULES and module in sys.stdlib_module_names:
            raise ValueError(f"it names code of Python's module {module!r}, as a Lambda layer may")
        if module == "builtins" and is_builtin:
            raise ValueError(f"it names Python's {known!r}, as a Lambda layer may")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All JSON objects in a value, at any depth."""
    left = [value]
    while left:
        entry = left.pop()
        if isinstance(entry, dict):
            yield entry
            left.extend(entry.values())
        elif isinstance(entry, list):
            left.extend(entry)


def expect_no_code_in_keras(path: str) -> None:
    """Of a `.keras` archive; raises as `expect_no_code`."""
    with zipfile.ZipFile(path) as archive:
        if _CONFIG in archive.namelist():
            expect_no_code(archive.read(_CONFIG))


def expect_no_code_in_hdf5(path: str) -> None:
    """Of an HDF5 file with a whole model; raises as `expect_no_code`."""
    import h5py

    with h5py.File(path, "r") as file:
        text = file.attrs.get(_ATTRIBUTE)
    if text is not None:
        expect_no_code(text)
