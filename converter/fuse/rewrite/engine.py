# SPDX-License-Identifier: Apache-2.0
"""Applies rewriting rules to a graph until none of them applies."""

from __future__ import annotations

import dataclasses
import heapq
import sys
from collections.abc import Callable, Mapping, Sequence

from converter.tflite import Graph, GraphView, Operator, Tensor
from converter.tflite.operators import operator_fault

_MAX_PASSES = 200  # a bound for rules that undo each other; each pass rewrites many places
_LATE_PASSES = 20  # of these: who still changes the graph in them is one of those rules


@dataclasses.dataclass(frozen=True, eq=False)
class Edit:
    """A part of a graph and what takes its place.

    Attributes:
      gone: operators that are removed.
      operators: what comes instead; may be empty.
      tensors: new tensors; the first has the index `len(view.graph.tensors)`.
      renamed: old tensor -> tensor that stands for it from now on, where read and where written.
    """

    gone: tuple[int, ...]
    operators: tuple[Operator, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    renamed: Mapping[int, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Rule:
    """One rewriting rule.

    Attributes:
      name: for people.
      summary: what it does, in one line.
      anchors: names of the operators where it may apply.
      apply: the edit at an anchor, or None where the rule does not apply.
      on_integers: the function stays the same where results are rounded to their types, but not on
        real numbers: a constant is rounded as an operator rounded it.
      everywhere: it stays the same on both, and rules of either kind wait for this one.
    """

    name: str
    summary: str
    anchors: frozenset[str]
    apply: Callable[[GraphView, int], Edit | None]
    on_integers: bool = False
    everywhere: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Normalized:
    """A graph in normal form.

    Attributes:
      graph: tensors of the plain graph keep their index; new ones follow.
      origin: for each operator the plain operators that it stands for, ascending.
    """

    graph: Graph
    origin: tuple[tuple[int, ...], ...]

    @property
    def view(self) -> GraphView:
        """The graph, its operators called in messages as in the plain file."""
        return GraphView(self.graph, [origin[-1] for origin in self.origin])

    def behind(self, first: Normalized) -> Normalized:
        """The same graph, where it was made of the graph of `first`: its origins are those' own."""
        origin = tuple(
            tuple(sorted({plain for op in ops for plain in first.origin[op]}))
            for ops in self.origin
        )
        return Normalized(self.graph, origin)


def normalize(graph: Graph, rules: Sequence[Rule]) -> Normalized:
    """Applies the rules until none of them changes the graph.

    Rules that undo each other without end are left out, which stderr says: the graph is right
    without them, and only less fused.
    """
    state = Normalized(graph, tuple((i,) for i in range(len(graph.operators))))
    view = GraphView(graph)
    late: set[str] = set()
    turn = quiet = 0  # quiet: rules in a row that find nothing in the graph as it is
    while quiet < len(rules) and turn < _MAX_PASSES * len(rules):
        rule = rules[turn % len(rules)]
        edits = _edits(rule, view)
        quiet = 0 if edits else quiet + 1
        if edits:
            state = _applied(state, edits)
            view = GraphView(state.graph)
            if turn >= (_MAX_PASSES - _LATE_PASSES) * len(rules):
                late.add(rule.name)
        turn += 1
    if quiet == len(rules):
        return state
    print(
        f"fuse: left out {', '.join(sorted(late))}: still changes the graph after {_MAX_PASSES} "
        "passes; the file is right, but may be fused less",
        file=sys.stderr,
    )
    return normalize(graph, [rule for rule in rules if rule.name not in late])


# What reading an operator raises whose operands or options are not those of its kind; the patterns
# report such operators, a rule leaves them alone.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _edits(rule: Rule, view: GraphView) -> list[Edit]:
    """The edits of a rule that do not touch each other."""
    edits: list[Edit] = []
    gone: set[int] = set()
    renamed: set[int] = set()
    for op, operator in enumerate(view.graph.operators):
        if op in gone or operator.name not in rule.anchors:
            continue
        try:
            edit = rule.apply(view, op)
        except _MALFORMED:
            continue
        if edit is None or gone.intersection(edit.gone) or not _is_readable(view, edit):
            continue
        touched = {*edit.renamed, *edit.renamed.values()}
        if renamed & touched:
            continue
        gone.update(edit.gone)
        renamed |= touched
        edits.append(edit)
    return edits


def _is_readable(view: GraphView, edit: Edit) -> bool:
    """Whether the reader takes the new operators: scales that float operators bear may be too fine
    for the integer ones."""
    tensors = (*view.graph.tensors, *edit.tensors)
    return all(operator_fault(tensors, op) is None for op in edit.operators)


def _applied(state: Normalized, edits: Sequence[Edit]) -> Normalized:
    graph = state.graph
    tensors = list(graph.tensors)
    slots: dict[int, list[tuple[Operator, tuple[int, ...]]]] = {
        i: [(op, origin)]
        for i, (op, origin) in enumerate(zip(graph.operators, state.origin, strict=True))
    }
    renamed: dict[int, int] = {}
    orphans: list[tuple[int, tuple[int, ...]]] = []  # (tensor, origins of what made it a copy)
    for edit in edits:
        offset = len(tensors) - len(graph.tensors)
        tensors.extend(edit.tensors)
        renamed.update(edit.renamed)
        origins = tuple(sorted({o for op in edit.gone for o in state.origin[op]}))
        for op in edit.gone:
            slots[op] = []
        new = [_shifted(op, len(graph.tensors), offset) for op in edit.operators]
        slots[max(edit.gone)] = [(op, origins) for op in new]
        if not new:
            orphans += [(kept, origins) for kept in edit.renamed.values()]
    entries = [
        (_renamed(op, renamed), origin) for index in sorted(slots) for op, origin in slots[index]
    ]
    entries = _adopted(entries, orphans)
    order = _execution_order([op for op, _ in entries])
    new_graph = dataclasses.replace(
        graph,
        tensors=tuple(tensors),
        operators=tuple(entries[i][0] for i in order),
    )
    return Normalized(new_graph, tuple(entries[i][1] for i in order))


def _shifted(op: Operator, first: int, offset: int) -> Operator:
    """The operator with its edit's new tensors at their place among those of all edits."""

    def place(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(i + offset if i >= first else i for i in indices)

    return dataclasses.replace(op, inputs=place(op.inputs), outputs=place(op.outputs))


def _renamed(op: Operator, names: Mapping[int, int]) -> Operator:
    if not any(i in names for i in (*op.inputs, *op.outputs)):
        return op
    return dataclasses.replace(
        op,
        inputs=tuple(names.get(i, i) for i in op.inputs),
        outputs=tuple(names.get(i, i) for i in op.outputs),
    )


def _adopted(
    entries: list[tuple[Operator, tuple[int, ...]]],
    orphans: Sequence[tuple[int, tuple[int, ...]]],
) -> list[tuple[Operator, tuple[int, ...]]]:
    """Operators that were dropped are counted with the one that writes what they copied."""
    writer = {tensor: i for i, (op, _) in enumerate(entries) for tensor in op.outputs}
    for tensor, origins in orphans:
        if tensor in writer:
            op, own = entries[writer[tensor]]
            entries[writer[tensor]] = (op, tuple(sorted({*own, *origins})))
    return entries


def _execution_order(operators: Sequence[Operator]) -> list[int]:
    """Every operator behind those whose results it reads, else as they stand."""
    writer = {tensor: i for i, op in enumerate(operators) for tensor in op.outputs}
    waits = [len({writer[t] for t in op.inputs if t in writer}) for op in operators]
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(operators):
        for source in {writer[t] for t in op.inputs if t in writer}:
            readers.setdefault(source, []).append(i)
    ready = [i for i, count in enumerate(waits) if not count]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for reader in readers.get(i, ()):
            waits[reader] -= 1
            if not waits[reader]:
                heapq.heappush(ready, reader)
    return order
