# SPDX-License-Identifier: Apache-2.0
"""The tables of SECURITY.md are those of the records."""

from __future__ import annotations

from benchmarks import fault_tables


def test_the_page_has_the_records_figures() -> None:
    text = fault_tables.PAGE.read_text(encoding="utf-8")
    assert fault_tables.render(text) == text, "run: python -m benchmarks.fault_tables"
