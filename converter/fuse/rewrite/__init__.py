# SPDX-License-Identifier: Apache-2.0
"""Normal forms: small rules that give every spelling one form, before patterns are looked for.

Each file of `rules/` is one rule, `RULE`. The rules are applied until none of them changes the
graph, so their order does not matter. `python -m converter.fuse.rewrite` lists them.

A rule never makes the numbers worse: it moves integers, or folds real factors into scales.
"""

from converter.fuse.rewrite.engine import Edit, Normalized, Rule, normalize
from converter.fuse.rewrite.rules import RULES

__all__ = ["RULES", "Edit", "Normalized", "Rule", "normalize"]
