# SPDX-License-Identifier: Apache-2.0
"""The page of patterns names every rule and gives the reasons that reports give."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from converter.fuse import fuse_model
from converter.fuse.rewrite import RULES
from converter.fuse.search import PATTERN_NAMES
from converter.support.patterns_page import page
from tests.converter.fuse.blocks import mlp, token_input
from tests.converter.fuse.plain_graph import PlainGraph

DOCUMENT = Path(__file__).parents[3] / "docs" / "supported_patterns.md"


def matches(template: str, reason: str) -> bool:
    return re.fullmatch(".+".join(map(re.escape, template.split("..."))), reason) is not None


def test_page_has_rules_patterns_and_reasons() -> None:
    text = page()
    assert all(f"| {rule.name} | {rule.summary} |" in text for rule in RULES)
    assert ", ".join(PATTERN_NAMES) in text
    reasons = re.findall(r"^\* `(.+)`$", text, re.M)
    g = PlainGraph(np.random.default_rng(1))
    x = token_input(g, 2, 2050)
    refused = fuse_model(g.finish(mlp(g, x, 4))).report.not_fused
    assert refused
    for place in refused:
        assert any(matches(template, place.reason) for template in reasons), place.reason


def test_document_is_this_page() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == page(), (
        "python -m converter.support.patterns_page > docs/supported_patterns.md"
    )
