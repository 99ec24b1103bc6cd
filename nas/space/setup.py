# SPDX-License-Identifier: Apache-2.0
"""Descriptions (JSON) that are stored with a training or a search: is it the same one?"""

from __future__ import annotations

import json
from typing import Any

GONE = ("static_bytes", "code_bytes")  # of a target of earlier versions: no choices any more


def different(one: str, other: str) -> list[str]:
    """Names of the parts in which two stored descriptions of a search differ; [] for the same one.

    Those of earlier versions have a target with `static_bytes` and `code_bytes`, which are no
    choices any more, and lack the dimensions that were not declared then: nothing, null and an
    empty list are the same.
    """

    def read(text: str) -> Any:
        try:
            return json.loads(text, object_hook=_chosen)
        except ValueError:
            return text

    a, b = read(one), read(other)
    if isinstance(a, dict) and isinstance(b, dict):
        return sorted(k for k in {*a, *b} if a.get(k) != b.get(k))
    return [] if a == b else ["set-up"]


def _chosen(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if k not in GONE and v is not None and v != []}
