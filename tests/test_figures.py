# SPDX-License-Identifier: Apache-2.0
"""Figures in the prose of the documentation are those of a record.

Parts that are generated have tests of their own (`test_site`, `test_readme`). The rest is written
by people, and stays when a record is made again. So each large number outside of generated parts
has to be in a record of docs/results; what no record holds is listed here, with what it is.
"""

from __future__ import annotations

import functools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
# Written whole by a command: tests compare them with what it writes.
GENERATED = {"boards.md", "supported_operators.md", "supported_patterns.md", "zoo.md"}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.name not in GENERATED]

BY_HAND = {
    # A limit of the softmax; bytes read in one run, of `inspect`; scratch of one tile.
    "compiled_runtime.md": (
        "4,095 5,647,872 1,173 1,259 8,703,936 61,732,800 15,424,512 3,574 432,000"
    ),
    # Sizes by the linker, of spaces and of published networks.
    "search.md": "511,084 301,056 1,600 3,378,928 608,000 2,298",
    # Before a change and after it, and predictions; measured once.
    "kernels.md": (
        "3,611,006 132,000 117,600 181,840 1,123 1,747 1,408 2,886 2,232 1,415,137 138,513 "
        "930,883 351,928 357,220 3,531,737 3,678,403"
    ),
    "tasks.md": "1,560",  # a table that the compiler adds
    # Estimates of networks whose latency has no record.
    "memory.md": "47,140,928 45,812,256 75,359,840 143,656,960 48,074,016 48,569,088 296,464",
}

_LARGE = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?!,?\d)")


def figures(text: str) -> list[str]:
    """Numbers of four digits and more that a person wrote, e.g. "1,024"."""
    text = re.sub(r"<!-- generated.*?<!-- end -->", "", text, flags=re.S)
    return _LARGE.findall(re.sub(r"```.*?```", "", text, flags=re.S))


def numbers(tree: Any) -> set[int]:
    """All in a record, rounded: values, and digits in its texts and keys."""
    if isinstance(tree, dict):
        return numbers(list(tree)) | numbers(list(tree.values()))
    if isinstance(tree, list):
        return set().union(*map(numbers, tree))
    if isinstance(tree, str):
        return {int(digits.replace(",", "")) for digits in re.findall(r"\d[\d,]*", tree)}
    if isinstance(tree, bool) or not isinstance(tree, int | float) or not math.isfinite(tree):
        return set()
    return {round(tree)}


@functools.cache
def recorded() -> set[int]:
    trained = (ROOT / "keras_models" / "trained").glob("*/train.json")
    files = [*RESULTS.glob("*.json"), *(ROOT / "boards").glob("*.json"), *trained]
    return set().union(*(numbers(json.loads(f.read_text(encoding="utf-8"))) for f in files))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_figures_are_in_a_record(page: Path) -> None:
    known = BY_HAND.get(page.name, "").split()
    found = figures(page.read_text(encoding="utf-8"))
    lost = [f for f in found if f not in known and int(f.replace(",", "")) not in recorded()]
    assert not lost, f"{page.name}: in no record of docs/results: {', '.join(lost)}"


def test_a_figure_that_no_record_holds_is_found() -> None:
    text = (
        "a 1,234,567, b\n<!-- generated: x -->\n9,999\n<!-- end -->\n```\n8,888\n```\n77 1,2 12,345"
    )
    assert figures(text) == ["1,234,567", "12,345"]
    assert numbers({"a 7": [1.6, "3,001 of 5"], "b": {"c": True}}) == {7, 2, 3001, 5}
    assert 902_356_091_000_003 not in recorded()
