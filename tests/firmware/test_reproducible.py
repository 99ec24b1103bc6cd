# SPDX-License-Identifier: Apache-2.0
"""Exports are the same bytes in whichever folder, by whomever and with whichever cache.

Images are in test_build.py.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from converter.plan.model import plan_model
from firmware import export
from firmware.formats import FORMATS, LIBRARY_FORMATS
from tests.converter.compile import fused_models
from toolchain.cache import VARIABLE

EXPORTS = [
    *((entry.name, entry.variant) for entry in FORMATS),
    *((entry.name, "") for entry in LIBRARY_FORMATS),
]


@pytest.fixture(scope="module")
def model() -> bytes:
    return plan_model(fused_models.model_bytes(fused_models.vit_ops())).model_bytes


def _tree(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Content of each file, and whether it is a program."""
    return {
        str(p.relative_to(folder)): (p.read_bytes(), os.access(p, os.X_OK))
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def _exported(
    model: bytes, file: Path, out: str, words: list[str]
) -> dict[str, tuple[bytes, bool]]:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(model)
    export.main([f"--model={file}", f"--out={out}", "--name=digits", "--overwrite", *words])
    return _tree(Path(out))


@pytest.mark.parametrize(("name", "variant"), EXPORTS)
def test_exports_are_reproducible(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest,
    name: str, variant: str,
) -> None:  # fmt: skip
    request.addfinalizer(functools.partial(os.umask, os.umask(0o022)))
    words = [f"--format={name}", f"--variant={variant}", "--nocheck", "--board=nucleo_h743zi2"]
    first = _exported(model, tmp_path / "a.tflite", str(tmp_path / "first"), words)
    assert len(first) > 5
    work = tmp_path / "quite another folder"
    (work / "deep").mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(work))
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.ISO-8859-1")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("TMPDIR", str(work / "deep"))
    monkeypatch.setenv(VARIABLE, str(work / "cache"))  # an empty one
    os.umask(0o077)
    again = _exported(model, work / "b.tflite", "deep/again", words)
    assert again == first
    again = _exported(model, work / "b.tflite", "deep/again", words)  # in its own place
    assert again == first
    for content, _ in again.values():
        assert str(tmp_path).encode() not in content
