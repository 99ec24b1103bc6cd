# SPDX-License-Identifier: Apache-2.0
"""YAML of mappings, lists and strings; every string quoted as JSON does, which YAML reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

Value = str | Sequence["Value"] | Mapping[str, "Value"]
LICENSE = "# SPDX-License-Identifier: Apache-2.0\n"


def _lines(value: Value, indent: int) -> list[str]:
    pad = " " * indent
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str):
                lines.append(f"{pad}{key}: {json.dumps(inner)}")
            else:
                lines += [f"{pad}{key}:", *_lines(inner, indent + 2)]
        return lines
    for inner in value:
        if isinstance(inner, str):
            lines.append(f"{pad}- {json.dumps(inner)}")
        else:
            first, *rest = _lines(inner, indent + 2)
            lines += [f"{pad}- {first.lstrip()}", *rest]
    return lines


def document(value: Mapping[str, Value]) -> str:
    """A file: the licence, then the mapping.

    Raises:
      ValueError: an empty list or mapping, which block style has no form for.
    """
    lines = _lines(value, 0)
    if any(line.endswith(":") and not follows for line, follows in _pairs(lines)):
        raise ValueError("got an empty list or mapping, expected something in it")
    return "\n".join([LICENSE.rstrip(), *lines, ""])


def _pairs(lines: list[str]) -> list[tuple[str, bool]]:
    """Each line, and whether the next one lies deeper."""
    depths = [len(line) - len(line.lstrip()) for line in [*lines, ""]]
    return [(line, depths[i + 1] > depths[i]) for i, line in enumerate(lines)]
