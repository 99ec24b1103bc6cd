# SPDX-License-Identifier: Apache-2.0
"""No file is read or written in the encoding of a machine: results are the same for every user."""

from __future__ import annotations

import ast

import pytest

from tests.test_layers import ALLOWED, ROOT, sources

# Position of the mode among the arguments, and its default; None: always text.
OPENS = {"open": (1, "r"), "fdopen": (1, "r"), "read_text": None, "write_text": None}

TERMINALS = {"tflm_vit/start.py", "tflm_vit/stderr.py"}  # whose encoding is the machine's


def without_encoding(text: str) -> list[str]:
    """Calls that open a text file without saying its encoding."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        of_object = isinstance(node.func, ast.Attribute)
        name = node.func.attr if of_object else getattr(node.func, "id", "")
        if name == "read_text" and not of_object:
            continue  # that of tflm_vit.files, which is UTF-8
        if name not in OPENS or "encoding" in {k.arg for k in node.keywords}:
            continue
        if OPENS[name]:
            place, mode = OPENS[name]
            owner = getattr(node.func.value, "id", "") if of_object else ""
            if of_object and owner not in ("os", "io", "gzip"):
                place = 0  # of a Path
            given = [
                *node.args[place : place + 1],
                *(k.value for k in node.keywords if k.arg == "mode"),
            ]
            mode = getattr(given[0], "value", "b") if given else mode
            if (owner == "os" and name == "open") or "b" in str(mode) or owner in ("Image", "gzip"):
                continue
        found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def test_every_text_file_has_an_encoding() -> None:
    for package in ALLOWED:
        for path in sources(ROOT / package):
            if path.relative_to(ROOT).as_posix() in TERMINALS:
                continue
            calls = without_encoding(path.read_text(encoding="utf-8"))
            assert not calls, f"{path.relative_to(ROOT)}: {calls}"


@pytest.mark.parametrize(
    "call",
    [
        "open(p)",
        "open(p, 'w')",
        "Path(p).open()",
        "p.open('w')",
        "p.read_text()",
        "os.fdopen(3, 'w')",
    ],
)
def test_one_without_is_found(call: str) -> None:
    assert without_encoding(call)
    assert not without_encoding(call[:-1] + (", " if call[-2] != "(" else "") + "encoding='utf-8')")
    assert not without_encoding("open(p, 'rb'); p.open('wb'); os.open(p, 0); Image.open(p)")
