# SPDX-License-Identifier: Apache-2.0
"""The normal form of a graph computes what the graph computes: checked on real numbers, and
on integers where a rule keeps these."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.gate.constants import exact_constants
from converter.fuse.gate.plain import Form, PlainGraph, rounding
from converter.fuse.gate.probes import Feeds
from converter.fuse.op_semantics import Array
from converter.fuse.rewrite import Normalized, Rule, normalize

_TOLERANCE = 1e-3  # of the largest value: offsets are rounded to units of an accumulator


def checked_normal_form(plain: PlainGraph, feeds: Feeds, rules: Sequence[Rule]) -> Normalized:
    """The graph in normal form, without the rules that would change what it computes."""
    first = [rule for rule in rules if rule.on_integers or rule.everywhere]
    others = [rule for rule in rules if not rule.on_integers]
    rounded = _checked(plain, feeds, first, rounding)
    if rounded.graph is plain.view.graph:
        return _checked(plain, feeds, others, None)
    return _checked(PlainGraph(rounded.view, plain), feeds, others, None).behind(rounded)


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
    """Whether every tensor that both graphs write has the same values, on one probe.

    What both have goes on as the plain graph has it: a network that makes much of small differences
    (a LayerNorm of nearly equal values) would otherwise blame a rule for what lies before it.
    """
    other = PlainGraph(normal.view, plain)
    expected, values = feeds.values(0), feeds.values(0)
    if form is not None:
        expected |= exact_constants(plain.view)
        values |= exact_constants(other.view)
    for op in range(len(plain.view.graph.operators)):
        _run(plain, op, expected, form)
    for op in range(len(other.view.graph.operators)):
        _run(other, op, values, form)
        for tensor in other.view.op(op).outputs:
            if tensor in values and tensor in expected:
                if not _is_near(expected[tensor], values[tensor]):
                    return False
                values[tensor] = expected[tensor]
    return True


def _run(graph: PlainGraph, op: int, values: dict[int, Array], form: Form | None) -> None:
    """Runs an operator; what cannot be evaluated is left out, and what depends on it."""
    if all(tensor in values for tensor in graph.view.op(op).outputs):
        return
    with contextlib.suppress(NoMatchError):
        graph.run([op], values, form)


def _is_near(expected: Array, got: Array) -> bool:
    """Equal within the tolerance; what is no number or infinite (an average of nothing, 0 / 0) in
    both is the same."""
    x, y = (np.asarray(v, np.float64) for v in (expected, got))
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    largest = np.max(np.abs(x[np.isfinite(x)]), initial=1e-6)
    with np.errstate(invalid="ignore"):
        return bool(np.all(same | (np.abs(x - y) <= _TOLERANCE * largest)))
