# SPDX-License-Identifier: Apache-2.0
"""The normal form of a graph computes what the graph computes: checked on real numbers, and
on integers where a rule keeps these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.gate.plain import Form, PlainGraph, rounding
from converter.fuse.gate.probes import Feeds
from converter.fuse.rewrite import Normalized, Rule, normalize

_TOLERANCE = 1e-3  # of the largest value: offsets are rounded to units of an accumulator


def checked_normal_form(plain: PlainGraph, feeds: Feeds, rules: Sequence[Rule]) -> Normalized:
    """The graph in normal form, without the rules that would change what it computes."""
    first = [rule for rule in rules if rule.on_integers]
    rounded = _checked(plain, feeds, first, rounding)
    if rounded.graph is plain.view.graph:
        return _checked(plain, feeds, [rule for rule in rules if not rule.on_integers], None)
    start = PlainGraph(rounded.view, plain)
    rest = _checked(start, feeds, [rule for rule in rules if not rule.on_integers], None)
    origin = tuple(
        tuple(sorted({plain_op for op in ops for plain_op in rounded.origin[op]}))
        for ops in rest.origin
    )
    return Normalized(rest.graph, origin)


def _checked(
    plain: PlainGraph, feeds: Feeds, rules: Sequence[Rule], form: Form | None
) -> Normalized:
    """After those of the rules that keep what the graph computes, in one form of its values."""
    graph = plain.view.graph
    normal = normalize(graph, rules)
    if normal.graph is graph or _is_same(plain, normal, feeds, form):
        return normal
    kept = list(rules)
    for rule in rules:
        alone = normalize(graph, [rule])
        if alone.graph is not graph and not _is_same(plain, alone, feeds, form):
            kept.remove(rule)
    normal = normalize(graph, kept)
    return normal if _is_same(plain, normal, feeds, form) else normalize(graph, [])


def _is_same(plain: PlainGraph, normal: Normalized, feeds: Feeds, form: Form | None) -> bool:
    """Whether every tensor that both graphs write has the same values, on one probe."""
    other = PlainGraph(normal.view, plain)
    a, b = feeds.values(0), feeds.values(0)
    for graph, values in ((plain, a), (other, b)):
        for op in range(len(graph.view.graph.operators)):
            try:
                graph.run([op], values, form)
            except NoMatchError:
                continue  # and what depends on it
    for tensor in a.keys() & b.keys():
        x, y = (np.asarray(v[tensor], np.float64) for v in (a, b))
        if not np.max(np.abs(x - y), initial=0.0) <= _TOLERANCE * np.max(np.abs(x), initial=1e-6):
            return False
    return True
