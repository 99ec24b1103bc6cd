# SPDX-License-Identifier: Apache-2.0
"""Deterministic C text in the layout that clang-format (Google, 100 columns) gives."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Designated:
    """One designated initializer: ``.name = value``."""

    name: str
    value: str | Initializer


@dataclasses.dataclass(frozen=True)
class Initializer:
    """The initializer of a struct."""

    fields: tuple[Designated, ...]


def _lines(struct: Initializer, indent: int) -> list[str]:
    pad = " " * indent
    lines = []
    for field in struct.fields:
        if isinstance(field.value, str):
            lines.append(f"{pad}.{field.name} = {field.value},")
        else:
            lines += [f"{pad}.{field.name} =", f"{pad}    {{"]
            lines += _lines(field.value, indent + 8)
            lines.append(f"{pad}    }},")
    return lines


def definition(ctype: str, name: str, struct: Initializer | tuple[Initializer, ...]) -> str:
    """``static const ctype name = {...};`` with a line per field; an array of a tuple."""
    if isinstance(struct, tuple):
        lines = [f"static const {ctype} {name}[] = {{"]
        for element in struct:
            lines += ["    {", *_lines(element, 8), "    },"]
        return "\n".join([*lines, "};"])
    return "\n".join([f"static const {ctype} {name} = {{", *_lines(struct, 4), "};"])


def array_rows(values: list[str], indent: int = 4, columns: int = 100) -> list[str]:
    """Wraps ``values`` as an initializer list's lines."""
    lines, line = [], " " * indent
    for i, value in enumerate(values):
        text = value + ("," if i + 1 < len(values) else "")
        if len(line) + len(text) + (line.strip() != "") > columns:
            lines.append(line)
            line = " " * indent
        line += (" " if line.strip() else "") + text
    return [*lines, line]


def int32(value: int) -> str:
    """A C literal of an int32 (the minimum has no literal of its own)."""
    if not -(1 << 31) <= value < 1 << 31:
        raise ValueError(f"got {value}, expected an int32")
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def int64(value: int) -> str:
    """A C literal of an int64."""
    if value == -(1 << 63):
        return "INT64_MIN"
    return f"INT64_C({value})"


def float32(value: float) -> str:
    """The shortest C literal that reads back as the same float."""
    text = np.format_float_positional(np.float32(value), unique=True, trim="0")
    scientific = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return (text if len(text) <= len(scientific) else scientific) + "f"


def string(text: str) -> str:
    """A C string literal; everything outside printable ASCII is replaced by ``?``.

    Question marks are escaped: two of them may begin a trigraph.
    """
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?") + '"'


def utf8_string(text: str) -> str:
    """A C string literal of the text in UTF-8; what cannot be encoded is replaced by ``?``."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
    return '"' + "".join(c if " " <= c <= "~" else _octal(c) for c in escaped) + '"'


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "replace"))
