# SPDX-License-Identifier: Apache-2.0
"""Text in generated files: one function for each language that it goes to.

Boards' files are checked where they are read (boards/reader.py); these hold for any text, so that a
name or a title can never end a comment or a string, or become a second argument.
"""

from __future__ import annotations

import json
import re
from xml.sax.saxutils import escape, quoteattr

from converter.compile.c_text import string as c_string
from firmware.errors import FirmwareError

__all__ = [
    "c_comment",
    "c_string",
    "cmake_argument",
    "cmake_comment",
    "json_text",
    "linker_word",
    "markdown_text",
    "shell_word",
    "xml_attribute",
    "xml_text",
]

_PLAIN_ARGUMENT = re.compile(r"[A-Za-z0-9_./+=:,@-]+")
_LINKER_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|&~])")


def _ascii(text: str) -> str:
    """One line of printable ASCII; question marks for the rest."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def c_comment(text: str) -> str:
    """Text inside a comment of C or of a linker script, whichever way it is opened."""
    shown = _ascii(text)
    # `??/` is a backslash to a C11 compiler, and a backslash may continue the line.
    shown = shown.replace("\\", "/").replace("??/", "? ?/")
    while "*/" in shown or "/*" in shown:
        shown = shown.replace("*/", "* /").replace("/*", "/ *")
    return shown


def cmake_argument(text: str) -> str:
    """One argument of a CMake command, quoted where it has to be.

    Raises:
      FirmwareError: a NUL, which ends a file of CMake's, or a carriage return, which it drops.
    """
    if "\0" in text or "\r" in text:
        raise FirmwareError(f"{text[:64]!r}: expected a name without NUL and carriage return")
    if _PLAIN_ARGUMENT.fullmatch(text):
        return text
    return '"' + re.sub(r'([\\"$@])', r"\\\1", text) + '"'


def cmake_comment(text: str) -> str:
    """Text behind `# ` to the end of a line of CMake."""
    return _ascii(text)


def json_text(text: str) -> str:
    """Text between the quotation marks of a JSON string."""
    return json.dumps(text)[1:-1]


def linker_word(text: str) -> str:
    """The name of a memory region in a linker script, where nothing can be escaped.

    Raises:
      FirmwareError: not letters, digits and '_'.
    """
    if not _LINKER_WORD.fullmatch(text):
        raise FirmwareError(f"memory region {text[:64]!r}: expected letters, digits and '_'")
    return text


def markdown_text(text: str) -> str:
    """Text within a line of Markdown; printable, or question marks."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return _MARKDOWN.sub(r"\\\1", shown)


def shell_word(text: str) -> str:
    """A word of a command that people copy from a README.

    Raises:
      FirmwareError: it would have to be quoted.
    """
    if not _PLAIN_ARGUMENT.fullmatch(text) or text.startswith("-"):
        raise FirmwareError(f"{text[:64]!r}: expected letters, digits and _ . / + = : , @ -")
    return text


def xml_text(text: str) -> str:
    """Text between tags; question marks for what no XML file can hold."""
    return escape(_NOT_XML.sub("?", text))


def xml_attribute(text: str) -> str:
    """The value of an attribute, in double quotes as Eclipse writes them."""
    quoted = quoteattr(_NOT_XML.sub("?", text))
    if quoted.startswith('"'):
        return quoted
    return '"' + quoted[1:-1].replace('"', "&quot;") + '"'
