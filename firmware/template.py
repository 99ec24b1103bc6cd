# SPDX-License-Identifier: Apache-2.0
"""Text templates with @KEY@ placeholders."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parent / "templates"


def render(name: str, **values: str) -> str:
    """Fills `firmware/templates/<name>.in`.

    Raises:
      KeyError: the template has a placeholder without a value.
    """
    text = (_ROOT / f"{name}.in").read_text(encoding="utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match.group(1)], text)


def indented(items: list[str] | tuple[str, ...]) -> str:
    """One item a line, indented by two spaces."""
    return "\n".join(f"  {item}" for item in items)
