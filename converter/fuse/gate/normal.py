# SPDX-License-Identifier: Apache-2.0
"""The normal form of a graph computes what the graph computes: checked on real numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.gate.plain import PlainGraph
from converter.fuse.gate.probes import Feeds
from converter.fuse.rewrite import Normalized, Rule, normalize

_TOLERANCE = 1e-3  # of the largest value: offsets are rounded to units of an accumulator


def checked_normal_form(plain: PlainGraph, feeds: Feeds, rules: Sequence[Rule]) -> Normalized:
    """The graph in normal form, without the rules that would change what it computes."""
    graph = plain.view.graph
    normal = normalize(graph, rules)
    if normal.graph is graph or _is_same(plain, normal, feeds):
        return normal
    kept = list(rules)
    for rule in rules:
        alone = normalize(graph, [rule])
        if alone.graph is not graph and not _is_same(plain, alone, feeds):
            kept.remove(rule)
    normal = normalize(graph, kept)
    return normal if _is_same(plain, normal, feeds) else normalize(graph, [])


def _is_same(plain: PlainGraph, normal: Normalized, feeds: Feeds) -> bool:
    """Whether every tensor that both graphs write has the same real values, on one probe."""
    other = PlainGraph(normal.view, plain)
    a, b = feeds.values(0), feeds.values(0)
    for graph, values in ((plain, a), (other, b)):
        for op in range(len(graph.view.graph.operators)):
            try:
                graph.run([op], values)
            except NoMatchError:
                continue  # and what depends on it
    for tensor in a.keys() & b.keys():
        x, y = (np.asarray(v[tensor], np.float64) for v in (a, b))
        if not np.max(np.abs(x - y), initial=0.0) <= _TOLERANCE * np.max(np.abs(x), initial=1e-6):
            return False
    return True
