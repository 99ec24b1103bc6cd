# SPDX-License-Identifier: Apache-2.0
"""Text in generated files: one function for each language that it goes to.

Boards' files are checked where they are read (boards/reader.py); these hold for any text, so that a
name or a title can never end a comment or a string, or become a second argument.
"""

from __future__ import annotations

import re

_PLAIN_ARGUMENT = re.compile(r"[A-Za-z0-9_./+=:,@-]+")


def c_string(text: str) -> str:
    """A string literal of C."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
    return '"' + "".join(c if " " <= c <= "~" else _octal(c) for c in escaped) + '"'


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode())


def c_comment(text: str) -> str:
    """Text inside a comment of C or of a linker script, whichever way it is opened."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in text)
    # `??/` is a backslash to a C11 compiler, and a backslash may continue the line.
    shown = shown.replace("\\", "/").replace("??/", "? ?/")
    while "*/" in shown or "/*" in shown:
        shown = shown.replace("*/", "* /").replace("/*", "/ *")
    return shown


def cmake_argument(text: str) -> str:
    """One argument of a CMake command, quoted where it has to be."""
    if _PLAIN_ARGUMENT.fullmatch(text):
        return text
    return '"' + re.sub(r'([\\"$@])', r"\\\1", text) + '"'
