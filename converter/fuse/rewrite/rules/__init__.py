# SPDX-License-Identifier: Apache-2.0
"""One file a rule; a new file is a new rule."""

from __future__ import annotations

import importlib
import pkgutil

from converter.fuse.rewrite.engine import Rule


def _rules() -> tuple[Rule, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}").RULE for name in names)


RULES = _rules()
