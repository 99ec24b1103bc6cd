# SPDX-License-Identifier: Apache-2.0
"""Compilers are found, known by what they say, and fail in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import ToolchainError, cross_tool, first_error, host_c, host_cxx, run_tool


def test_the_compilers_of_this_machine() -> None:
    for compiler in (host_c(), host_cxx(), cross_tool("gcc")):
        assert Path(compiler.path).is_file()
        assert any(c.isdigit() for c in compiler.version)
    assert host_c() is host_c(), "asked twice"


def test_a_named_compiler_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\necho mine 1.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    assert "mine 1.0" in host_c().version
    # Another program behind the same path is another compiler.
    program.write_text("#!/bin/sh\necho mine 2.0 and more\n")
    assert "mine 2.0" in host_c().version
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ToolchainError, match=r"looked for \$CC, 'no-such-compiler'; install one"):
        host_c()


def test_missing_compilers_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    for find, package in (
        (host_c, "apt-get install gcc"),
        (host_cxx, "apt-get install g"),
        (lambda: cross_tool("gcc"), "apt install gcc-arm-none-eabi"),
    ):
        with pytest.raises(ToolchainError, match=package) as error:
            find()
        assert "\n" not in str(error.value)


def test_a_failure_is_its_first_error(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("int f(void) { return undeclared; }\n")
    command = [host_c().path, "-c", str(source), "-o", str(tmp_path / "a.o")]
    with pytest.raises(ToolchainError, match=r"a\.c: .* failed: .*undeclared") as error:
        run_tool(command, "a.c")
    assert "\n" not in str(error.value)
    assert "undeclared" in error.value.details
    with pytest.raises(ToolchainError, match="does not run"):
        run_tool([str(tmp_path / "nothing")], "a.c")
    assert first_error("In file x\ny.c:1: error: bad\nnote") == "y.c:1: error: bad"
    assert first_error("") == "no message"


def test_a_tool_is_stopped_while_it_runs() -> None:
    assert run_tool(["echo", "done"], "echo", stopped=lambda: False) == "done\n"
    with pytest.raises(ToolchainError, match="waiting: sleep does not run"):
        run_tool(["sleep", "1000"], "waiting", stopped=lambda: True)
