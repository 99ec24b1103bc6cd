# SPDX-License-Identifier: Apache-2.0
"""Columns of tables, and what is folded of long ones."""

from __future__ import annotations

import re

import pytest

from converter.page.tables import long_table, table


def test_columns_are_numbers_short_texts_or_texts() -> None:
    rows = [("CONV_2D", "int8", 1234, "a text that may be broken into lines", None),
            ("ADD", "int8", None, "short", None)]  # fmt: skip
    text = table(("operator", "type", "MACs", "schedule", "nobody knows"), rows)
    assert re.findall(r'class="(\w)"', text) == list("ssnt" * 3)
    assert "1,234" in text
    assert "nobody knows" not in text


@pytest.mark.parametrize(("count", "tables"), [(30, 1), (31, 2)])
def test_a_long_table_shows_its_first_rows_and_folds_all(count: int, tables: int) -> None:
    text = long_table("operators", ("operator", "MACs"), [(f"{i} ADD", i) for i in range(count)])
    assert text.count("<table") == tables
    assert ("All 31 operators" in text) == ("<details>" in text) == (tables == 2)
    assert all(text.count(f">{i} ADD<") == (tables if i < 30 else 1) for i in range(count))
