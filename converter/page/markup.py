# SPDX-License-Identifier: Apache-2.0
"""HTML from Python: every text goes through `escaped`, every figure's data through `script_json`.

Names come from files of anybody. A control character, or one that turns the direction of what
follows, is shown as its number, so that a name looks like what it is.
"""

from __future__ import annotations

import html
import json
import unicodedata
from typing import Any

_LONGEST = 90  # characters of a name
_SHOWN_AS_NUMBERS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = Markup | str | int


def plain(text: str) -> str:
    """A text whose invisible characters are numbers."""
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) in _SHOWN_AS_NUMBERS else c for c in text
    )


def short_name(text: str) -> str:
    """A name of bounded length: its begin and its end, which tell most."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"


def escaped(child: Child) -> Markup:
    """A text as HTML, in elements and in attributes; a number with commas."""
    if isinstance(child, Markup):
        return child
    return Markup(html.escape(f"{child:,}" if isinstance(child, int) else plain(child)))


def element(name: str, *children: Child, **attributes: str) -> Markup:
    """An element; `class_` is its class, `_` in other names is `-`."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{words}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """One after another."""
    return Markup("".join(escaped(child) for child in children))


def script_json(value: Any) -> Markup:
    """Data as JSON within a script: nothing in it can end the script."""
    text = json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
