# SPDX-License-Identifier: Apache-2.0
"""Renames identifiers in C and assembly, and nothing that only looks like them."""

from __future__ import annotations

import re
from collections.abc import Callable

# Strings, lines that include a file, and names of files in comments stay as they are.
_PARTS = re.compile(
    r'^[ \t]*#[ \t]*include[^\n]*|"(?:\\.|[^"\\\n])*"|\b[A-Za-z_]\w*(?:\.(?:cc|c|h|S|bin)\b)?', re.M
)
_DEBUG = re.compile(r"^#ifdef VIT_MODEL_DEBUG\n(.*?)^#endif[^\n]*\n", re.M | re.S)


def renamed(text: str, rename: Callable[[str], str]) -> str:
    """The text with every identifier replaced by what `rename` makes of it."""

    def part(match: re.Match[str]) -> str:
        found = match[0]
        return rename(found) if found.isidentifier() else found

    return _PARTS.sub(part, text)


def without_debug(text: str) -> str:
    """Generated C without what only a -DVIT_MODEL_DEBUG build compiles."""
    text = text.replace(" (not in a -DVIT_MODEL_DEBUG build)", "")
    return _DEBUG.sub(lambda match: match[1].partition("#else\n")[2], text)
