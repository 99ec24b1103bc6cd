# SPDX-License-Identifier: Apache-2.0
"""From a normal form with float islands to one with int8 tensors in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from converter.fuse.gate.plain import PlainGraph
from converter.fuse.islands.cuts import Cut, RangeSource, find_cuts
from converter.fuse.islands.graph import cut_graph
from converter.fuse.islands.observed import observed_or_none
from converter.fuse.op_semantics import Array
from converter.fuse.rewrite import Normalized
from converter.fuse.rewrite.building import is_int8
from converter.tflite import Graph, GraphView, Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class IntegerForm:
    """A graph whose float islands have int8 tensors.

    Attributes:
      normal: the graph.
      cuts: its new int8 tensors.
      integers: their indices.
      constants: how many float constants became int8.
      unbounded: operators, as messages call them, that stay in float for want of data.
      inputs: how many inputs ranges were seen on.
    """

    normal: Normalized
    cuts: tuple[Cut, ...]
    integers: frozenset[int]
    constants: int
    unbounded: tuple[str, ...]
    inputs: int

    @property
    def has_bounds(self) -> bool:
        """Whether ranges are bounds that data would make narrower."""
        return any(cut.source is RangeSource.BOUND for cut in self.cuts)


def float_before(form: IntegerForm, graph: Graph, first: int) -> frozenset[int]:
    """The int8 tensors of the normal form behind the cuts that are float in the file.

    Those at the cuts, and those of their types that rules made: a rule that takes a QUANTIZE before
    a move gives its type to what the move reads.

    Args:
      graph: that normal form.
      first: its first tensor that the file has not.
    """
    types = {_type(graph.tensors[t]) for t in form.integers}
    new = (t for t in range(first, len(graph.tensors)) if is_int8(graph.tensors[t]))
    return form.integers | {t for t in new if _type(graph.tensors[t]) in types}


def _type(tensor: Tensor) -> tuple[float, int]:
    return tensor.scale, tensor.zero_point


def integer_form(
    plain: PlainGraph, normal: Normalized, given: Sequence[Mapping[int, Array]]
) -> IntegerForm | None:
    """Cuts the float islands of a graph in normal form; None where there are none.

    Args:
      plain: the graph as it was read.
      normal: its normal form.
      given: real values of the graph's inputs that ranges are seen on; with none they are bounds.
    """
    view = GraphView(normal.graph)
    cuts = find_cuts(view)
    if given and (cuts.unbounded or any(c.source is RangeSource.BOUND for c in cuts.cuts)):
        seen = observed_or_none(PlainGraph(normal.view, plain), given)
        cuts = cuts if seen is None else find_cuts(view, seen)
    if not (cuts.cuts or cuts.constants or cuts.operands or cuts.unbounded):
        return None
    found = cut_graph(normal, cuts)
    return IntegerForm(
        found.normal,
        cuts.cuts,
        frozenset(found.integers.values()),
        len(cuts.constants) + len(cuts.operands),
        tuple(normal.view.label(op) for op in cuts.unbounded),
        len(given) if any(c.source is RangeSource.SEEN for c in cuts.cuts) else 0,
    )
