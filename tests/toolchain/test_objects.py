# SPDX-License-Identifier: Apache-2.0
"""An object is compiled again when, and only when, something that decides its content changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import VARIABLE, ToolchainError, compiled, host_c, objects, run_tool


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sources in the order in which they were compiled."""
    names: list[str] = []

    def counting(command: list[str], what: str) -> str:
        names.append(what)
        return run_tool(command, what)

    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(objects, "run_tool", counting)
    return names


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def build(folder: Path, *flags: str, seen: tuple[str, ...] = ()) -> list[Path]:
    sources, headers = sorted(folder.glob("*.c")), sorted(folder.glob("*.h"))
    places = [f"-I{folder}", f"-ffile-prefix-map={folder}=."]
    return compiled("kind", host_c(), ["-O1", *flags], sources, headers, places=places, seen=seen)


def test_only_what_changed_is_compiled(tmp_path: Path, made: list[str]) -> None:
    one, two = '#include "n.h"\nint one(void) { return N; }\n', "int two(void) { return 2; }\n"
    texts = {"one_c": one, "two_c": two, "n_h": "#define N 1\n"}
    first = build(write(tmp_path / "a", **texts))
    assert made == ["one.c", "two.c"]
    # The same files elsewhere are the same objects.
    assert build(write(tmp_path / "b", **texts)) == first
    assert len(made) == 2
    other = build(write(tmp_path / "b", two_c=two.replace("return 2", "return 3")))
    assert made[2:] == ["two.c"]
    assert other[0] == first[0]
    assert other[1] != first[1]
    changed = build(write(tmp_path / "b", **{**texts, "n_h": "#define N 4\n"}))
    assert made[3:] == ["one.c", "two.c"]
    assert changed[0].read_bytes() != first[0].read_bytes()
    for flags, seen in ((("-O2",), ()), ((), ("another processor",))):
        build(tmp_path / "a", *flags, seen=seen)
    assert len(made) == 9


def test_the_first_error_is_told_and_nothing_is_kept(tmp_path: Path, made: list[str]) -> None:
    folder = write(tmp_path / "a", one_c="int one(void) { return x; }\n")
    for _ in range(2):
        with pytest.raises(ToolchainError, match=r"one\.c: .*undeclared"):
            build(folder)
    assert made == ["one.c"] * 2
