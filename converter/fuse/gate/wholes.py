# SPDX-License-Identifier: Apache-2.0
"""The plain network's results for each probe, computed once."""

from __future__ import annotations

import dataclasses

from converter.fuse.errors import NoMatchError
from converter.fuse.gate.plain import PlainGraph, rounding
from converter.fuse.gate.probes import Feeds
from converter.fuse.gate.witnesses import candidates
from converter.fuse.op_semantics import Array

Values = dict[int, Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Whole:
    """One probe through the whole plain graph.

    Attributes:
      exact, rounded: values of the outputs and of what else is compared.
      read_exact, read_rounded: of the outputs, in the graph as it was read.
    """

    exact: Values
    rounded: Values
    read_exact: Values
    read_rounded: Values


class Wholes:
    """One network.

    Args:
      plain: what fused operators are compared with.
      original: the graph as it was read, where that is another.
      feeds: the probes.

    Attributes:
      candidates: tensors that may be compared besides the outputs.
      notes: why there are no results; empty where there are.
    """

    def __init__(self, plain: PlainGraph, original: PlainGraph | None, feeds: Feeds) -> None:
        self._plain, self._original, self._feeds = plain, original, feeds
        self._found: list[Whole | None] = []
        self.candidates = candidates(plain.view)
        operators = plain.view.graph.operators
        missing = sorted({o.name for i, o in enumerate(operators) if not plain.can_run(i)})
        self.notes: tuple[str, ...] = ()
        if missing:
            self._give_up(f"{', '.join(missing)} cannot be evaluated")

    def of(self, number: int) -> Whole | None:
        """The results for a probe; None where the network cannot be evaluated."""
        if self.notes:
            return None
        while len(self._found) <= number:
            self._found.append(self._results(len(self._found)))
        return self._found[number]

    def _results(self, number: int) -> Whole | None:
        graph = self._plain.view.graph
        inputs = self._feeds.values(number)
        ends = [t for t in graph.outputs if self._plain.view.producer(t) is not None]
        inner = [t for t in self.candidates if self._plain.view.producer(t) is not None]
        wanted = tuple(dict.fromkeys((*ends, *inner)))
        try:
            exact = self._plain.results(wanted, inputs)
            rounded = self._plain.results(wanted, inputs, rounding)
            if self._original is None:
                return Whole(exact, rounded, exact, rounded)
            read = [self._original.results(ends, inputs, form) for form in (None, rounding)]
        except NoMatchError as error:
            self._give_up(str(error))
            return None
        return Whole(exact, rounded, *read)

    def _give_up(self, reason: str) -> None:
        self.notes = (f"the whole network is not compared: {reason}",)
