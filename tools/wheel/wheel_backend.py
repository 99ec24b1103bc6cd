# SPDX-License-Identifier: Apache-2.0
"""Builds the wheel with setuptools, and writes it so that the same sources give the same bytes.

A wheel holds when files were written and who may read them, and setuptools puts what an earlier
build left in `build/` into it. Here files have one time (SOURCE_DATE_EPOCH, or the first that a zip
can hold), one mode and one order, and each build has a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

_FIRST_TIME = 315532800  # 1980-01-01, of a zip
_MODE = 0o100644
_CONFIGURATION = "DIST_EXTRA_CONFIG"  # a further setup.cfg of setuptools


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, str | list[str] | None] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """The hook of PEP 517; returns the file's name."""
    with _folder_of_its_own():
        name = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    _rewrite(Path(wheel_directory) / name)
    return name


@contextlib.contextmanager
def _folder_of_its_own() -> Iterator[None]:
    before = os.environ.get(_CONFIGURATION)
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "setup.cfg"
        lines = (f"[build]\nbuild_base={folder}/build\n", f"[egg_info]\negg_base={folder}\n")
        configuration.write_text("".join(lines), encoding="utf-8")
        os.environ[_CONFIGURATION] = str(configuration)
        try:
            yield
        finally:
            if before is None:
                del os.environ[_CONFIGURATION]
            else:
                os.environ[_CONFIGURATION] = before


def _rewrite(wheel: Path) -> None:
    seconds = max(_FIRST_TIME, int(os.environ.get("SOURCE_DATE_EPOCH", _FIRST_TIME)))
    made = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made, "w") as target:
        # What describes the wheel comes last, as readers expect.
        for name in sorted(source.namelist(), key=lambda n: (".dist-info/" in n, n)):
            info = zipfile.ZipInfo(name, time.gmtime(seconds)[:6])
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            info.external_attr = _MODE << 16
            target.writestr(info, source.read(name), compresslevel=9)
    made.replace(wheel)
