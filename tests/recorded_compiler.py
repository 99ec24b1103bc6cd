# SPDX-License-Identifier: Apache-2.0
"""Bytes of code and counts of instructions are of one compiler; others make other code.

The tables that predict them (`converter/code_table.json` and its kind) say which. What a test
compares with them to the byte is compared under that compiler alone: it is skipped under another,
Debian 13's for example, where everything else holds.
"""

from __future__ import annotations

import json
import re

import pytest

from converter.code_size import TABLE
from toolchain import ToolchainError, cross_tool


def _number(line: str) -> str:
    found = re.search(r"\d+\.\d+\.\d+", line)
    assert found is not None, line
    return found[0]


def difference(recorded: str, here: str) -> str:
    """Why figures of one compiler are not compared with another's; empty if they are of one.

    Args:
      recorded, here: the first lines that they say of themselves.
    """
    if _number(here) == _number(recorded):
        return ""
    return f"figures are of arm-none-eabi-gcc {_number(recorded)}, here is {_number(here)}"


def recorded_compiler_only() -> pytest.MarkDecorator:
    """Skips under another cross compiler than that of the tables; where there is none, nothing."""
    try:
        here = cross_tool("gcc").says
    except ToolchainError:
        return pytest.mark.skipif(False, reason="")
    reason = difference(json.loads(TABLE.read_text(encoding="utf-8"))["gcc"], here)
    return pytest.mark.skipif(bool(reason), reason=reason)
