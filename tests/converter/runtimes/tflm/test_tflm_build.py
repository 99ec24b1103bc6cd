# SPDX-License-Identifier: Apache-2.0
"""Building the operator library: cached, atomic, one clear error when it cannot be done."""

from __future__ import annotations

import os
import pathlib

import pytest

from converter.runtimes.tflm import build
from converter.runtimes.tflm.errors import TflmBuildError
from toolchain import VARIABLE, folder


@pytest.fixture
def one_source(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """Replaces the sources by one small file, and the cache by an empty folder."""
    source = tmp_path / "small.c"
    source.write_text("int small(void) { return 1; }\n")
    monkeypatch.setattr(build, "sources", lambda: [source])
    monkeypatch.setattr(build, "REPOSITORY", pathlib.Path("/"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return source


def test_cache_follows_the_sources(one_source: pathlib.Path) -> None:
    first = build.build_library()
    stamp = first.stat().st_mtime_ns
    assert build.build_library() == first
    assert first.stat().st_mtime_ns == stamp, "built again"
    assert build.build_library(["-DOTHER"]) != first
    one_source.write_text("int small(void) { return 2; }\n")
    assert build.build_library() != first
    assert sorted(p.suffix for p in folder().rglob("*") if p.is_file()) == [".so"] * 3


def test_missing_compiler_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, one_source: pathlib.Path
) -> None:
    monkeypatch.setenv("PATH", str(one_source.parent))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(TflmBuildError, match=r"no C compiler: .*apt-get install g"):
        build.build_library()


def test_compiler_error_is_shown_and_leaves_nothing(one_source: pathlib.Path) -> None:
    one_source.write_text("this is no C\n")
    with pytest.raises(TflmBuildError, match=r"small\.c: .*failed"):
        build.build_library()
    assert not [p for p in folder().rglob("*") if p.is_file()]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_cache_is_named(
    monkeypatch: pytest.MonkeyPatch, one_source: pathlib.Path
) -> None:
    monkeypatch.setenv(VARIABLE, "/proc/nowhere")
    with pytest.raises(TflmBuildError, match=rf"set \${VARIABLE} to"):
        build.build_library()


def test_cache_that_is_a_file_is_named(
    monkeypatch: pytest.MonkeyPatch, one_source: pathlib.Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(one_source))
    with pytest.raises(TflmBuildError, match=rf"set \${VARIABLE} to"):
        build.build_library()
