# SPDX-License-Identifier: Apache-2.0
"""Any text comes through the compiler and CMake as it was, and ends no comment."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.compile.c_text import utf8_string
from firmware.escape import c_comment, c_string, cmake_argument

TEXTS = (
    "plain",
    "a b.c",
    'say "hi"',
    "back\\slash",
    "x */ PROVIDE(evil = 1); /*",
    "??/",
    "line\nend",
    "@REGIONS@",
    "${VARIABLE} $ENV{HOME} $<CONFIG>",
    "a;b",
    "größe",
    "#define X",
    "\\",
    "tab\t1\x01f",
    "()",
    "",
)


@given(st.text())
def test_a_comment_stays_one(text):
    shown = c_comment(text)
    assert shown.isprintable()
    assert "*/" not in shown
    assert "/*" not in shown
    assert "??/" not in shown
    assert "\\" not in shown
    # Nor with what stands around it.
    assert "*/" not in f"/* {shown} */"[:-2]


def test_strings_reach_the_program(tmp_path):
    literals = [*map(c_string, TEXTS), *map(utf8_string, TEXTS)]
    lines = "".join(f"  fwrite({s}, 1, sizeof {s}, stdout);\n" for s in literals)
    source = tmp_path / "strings.c"
    source.write_text(f"#include <stdio.h>\nint main(void) {{\n{lines}  return 0;\n}}\n")
    program = tmp_path / "strings"
    flags = ("-std=c11", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", *flags, str(source), "-o", str(program)], check=True)
    output = subprocess.run([str(program)], capture_output=True, check=True).stdout
    shown = ["".join(c if " " <= c <= "~" else "?" for c in text) for text in TEXTS]
    assert output.decode().split("\0")[:-1] == [*shown, *TEXTS]


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_arguments_reach_cmake_as_one(tmp_path):
    script = tmp_path / "script.cmake"
    calls = "".join(f"show({cmake_argument(text)})\n" for text in TEXTS)
    function = 'function(show)\n  message("${ARGC}<${ARGV0}>")\nendfunction()\n'
    script.write_text(function + calls, encoding="utf-8")
    command = ["cmake", "-P", str(script)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stderr
    assert output == "".join(f"1<{text}>\n" for text in TEXTS)
