# SPDX-License-Identifier: Apache-2.0
"""Runs a fused graph next to the plain one, operator by operator, and says what to give back."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from converter.fuse.arithmetic import Range
from converter.fuse.errors import BoundError, NoMatchError
from converter.fuse.gate.compared import Compared, joined
from converter.fuse.gate.device import accepted
from converter.fuse.gate.noise import Noise
from converter.fuse.gate.plain import (
    Limits,
    PlainGraph,
    is_quantized,
    range_of,
    rounding,
    to_integers,
    to_real,
)
from converter.fuse.gate.probes import Feeds, probe
from converter.fuse.gate.repeats import Repeats
from converter.fuse.gate.types import FusedTypes
from converter.fuse.gate.wholes import Values, Wholes
from converter.fuse.gate.witnesses import nearest
from converter.fuse.patterns.match import Match
from converter.fuse.report import Accuracy
from converter.fuse.search import PatternPlace
from converter.fuse.wide import retyped
from converter.tflite import GraphView, Tensor
from tflm_custom_ops.ops import Params, operator_of

_LEAST_VALUES = 512  # results of a region that a verdict rests on
# What the normal form alone may lose: some rules trade this much for operators that every runtime
# has (an operator of one slope for each channel becomes four).
_NORMAL_LOSS_DB = 3.0
_MAX_ALONE = 256  # probes of a region alone, where those of the whole network give fewer results


@dataclasses.dataclass(frozen=True, eq=False)
class Lowered:
    """A match, the operator for it, and where it was found."""

    place: PatternPlace
    match: Match
    op: Params


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A match that is given back, with the reason."""

    place: PatternPlace
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class _Region:
    """A fused operator as it is run.

    Attributes:
      op: as read back from its encoded form.
      inputs, y: its tensors in the fused graph.
      plain, ops: the graph that it is compared with, and the operators there.
      ranges: real values that tensors inside can hold which the fused operator has as well.
      noise: against the float result.
      limited: against the float result whose tensors are limited to those ranges. Where a probe
        leaves a range both results are clipped alike; here that does not hide a fault.
      residual: whether x is added to the result.
    """

    lowered: Lowered
    op: Params
    inputs: tuple[Tensor, ...]
    y: Tensor
    plain: PlainGraph
    ops: tuple[int, ...]
    ranges: dict[int, tuple[float, float]]
    noise: Noise
    limited: Noise

    @property
    def residual(self) -> bool:
        match = self.lowered.match
        return match.READS_STREAM and match.WRITES_STREAM and operator_of(self.op).in_place


class Gate:
    """The checks of one network; the plain network's results are kept between calls.

    Args:
      plain: the graph as it was read.
      normal: the graph in normal form; its tensors begin with those of `plain`.
      feeds: the inputs to run on.
      original: the graph that the accuracy is that of, where it is not `plain`, which then has
        int8 tensors between operators that are float in the original.

    Attributes:
      remarks: what the accuracy does not say; from the last call that ran all probes.
      accuracy: of the whole network, from the last call that refused nothing.
      fault: why the normal form is much worse than the plain graph even where nothing is fused;
        empty unless the last call had nothing to refuse.
    """

    def __init__(
        self,
        plain: PlainGraph,
        normal: GraphView,
        feeds: Feeds,
        original: PlainGraph | None = None,
    ) -> None:
        self._plain = plain
        self._normal = PlainGraph(normal, plain)
        self._feeds = feeds
        self._wholes = Wholes(plain, original, feeds)
        self.accuracy: Accuracy | None = None
        self.remarks: tuple[str, ...] = ()
        self.fault = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be checked."""
        return self._wholes.notes

    # Of a file's numbers anything can come; what is not finite fails where it is compared.
    @np.errstate(all="ignore")
    def refusals(
        self, lowered: Sequence[Lowered], type_of: Callable[[int], Range]
    ) -> list[Refusal]:
        """The matches that must be given back, with the reason; none if all may stay.

        Args:
          type_of: type of an activation in the fused graph.
        """
        refused: list[Refusal] = []
        regions: dict[int, _Region] = {}
        types = FusedTypes(self._normal.view, type_of)
        for entry in lowered:
            try:
                region = self._region(entry, type_of)
            except BoundError as error:
                refused.append(Refusal(entry.place, str(error)))
                continue
            producer = self._normal.view.producer(entry.match.y)
            assert producer is not None
            regions[producer] = region
        if refused:
            return refused
        compared = {
            t: Noise(_columns(self._normal.view.tensor(t)), 0.0)
            for t in (*self._normal.view.graph.outputs, *self._witnesses(regions))
            if self._normal.view.producer(t) is not None
        }
        ends = {t: n for t, n in compared.items() if t in self._normal.view.graph.outputs}
        read = {t: Noise(n.columns, 0.0) for t, n in ends.items()}
        repeats = Repeats(self._plain.view)
        for number in range(self._feeds.count):
            failed = self._run(number, regions, types, compared, read)
            if failed:
                return failed
            whole = self._wholes.of(number)
            if whole is not None:
                repeats.add(whole.exact)
            if self._is_decided(regions, compared):
                break
        alone = [self._run_alone(region) for region in regions.values()]
        judged = [*regions.values(), *(region for region in alone if region is not None)]
        self.remarks = tuple(repeats.remarks())
        return self._verdict(judged, compared, read)

    def _witnesses(self, regions: dict[int, _Region]) -> frozenset[int]:
        """What is compared besides outputs of few elements: tensors that both networks have."""
        view = self._normal.view
        inside = {op for r in regions.values() for op in r.lowered.match.ops}
        written = {r.lowered.match.y for r in regions.values()}
        shared = {
            t
            for t in self._wholes.candidates
            if t in written or (view.producer(t) is not None and view.producer(t) not in inside)
        }
        return nearest(view, shared)

    def _region(self, entry: Lowered, type_of: Callable[[int], Range]) -> _Region:
        match, view = entry.match, self._normal.view
        ends = (*match.inputs, match.y)
        *inputs, y = (retyped(view.tensor(t), type_of(t)) for t in ends)
        op = accepted(entry.op, inputs, y)
        shared = max(ends) < len(self._plain.view.graph.tensors)
        graph = self._plain if shared else self._normal
        ops = graph.ops_between(match.inputs, match.y)
        kept = [t for t in match.kept if is_quantized(view.tensor(t))]
        ranges = {t: range_of(view.tensor(t)) for t in kept} | {match.y: range_of(y)}
        noise = (Noise(_columns(y), y.scale) for _ in range(2))
        return _Region(entry, op, tuple(inputs), y, graph, ops, ranges, *noise)

    # ---- one probe -------------------------------------------------------------------------------

    def _run(
        self,
        number: int,
        regions: dict[int, _Region],
        types: FusedTypes,
        compared: dict[int, Noise],
        read: dict[int, Noise],
    ) -> list[Refusal]:
        """One probe through the fused graph; a region that cannot be run is refused at once."""
        whole = self._wholes.of(number)
        values = {**self._feeds.values(number), **types.constants}
        rng = self._feeds.generator(number, "substitutes")
        inner = {op for r in regions.values() for op in r.lowered.match.ops}
        for op in range(len(self._normal.view.graph.operators)):
            if op in regions:
                try:
                    self._run_region(regions[op], values)
                except (NoMatchError, OverflowError, ValueError) as error:
                    return [Refusal(regions[op].lowered.place, f"it cannot be run: {error}")]
            elif op not in inner:
                self._run_builtin(op, values, types, rng)
        if whole is not None:
            for tensor, noise in compared.items():
                noise.add(whole.exact[tensor], values[tensor], whole.rounded[tensor])
            for tensor, noise in read.items():
                noise.add(whole.read_exact[tensor], values[tensor], whole.read_rounded[tensor])
        return []

    def _run_region(self, region: _Region, values: Values) -> None:
        result = self._compared(region, values)
        result.add_to(region.noise, region.limited)
        values[region.lowered.match.y] = result.fused

    def _run_alone(self, region: _Region) -> _Region | None:
        """A region of few results on values of its inputs' types; None for any other.

        Its results for all of these are one sample: each has another input, so that they are places
        of their own, where those of the network's probes may repeat an error.
        """
        missing = _LEAST_VALUES - region.y.size
        if missing <= 0:
            return None
        tensors = dict(zip(region.lowered.match.inputs, region.inputs, strict=True))
        results = []
        for number in range(min(_MAX_ALONE, -(-missing // region.y.size))):
            rng = self._feeds.generator(number, f"alone {region.lowered.place}")
            values = {i: probe(t, rng) for i, t in tensors.items()}
            results.append(self._compared(region, values))
        noise, limited = (Noise(region.noise.columns, region.y.scale) for _ in range(2))
        joined(results).add_to(noise, limited)
        return dataclasses.replace(region, noise=noise, limited=limited)

    def _compared(self, region: _Region, values: Values) -> Compared:
        match = region.lowered.match
        tensors = dict(zip(match.inputs, region.inputs, strict=True))
        given = {i: self._normal.value(values, i).reshape(t.shape) for i, t in tensors.items()}
        integers = (to_integers(tensors[i], given[i]) for i in match.inputs)
        y = operator_of(region.op).reference(*integers).reshape(region.y.shape)
        rounded, exact = dict(given), dict(given)
        region.plain.run(region.ops, rounded, rounding)
        region.plain.run(region.ops, exact)
        limited = region.plain.run_again(region.ops, exact, Limits(region.ranges))
        added = given[match.x] if region.residual else None
        return Compared(
            exact[match.y], limited[match.y], to_real(region.y, y), rounded[match.y], added
        )

    def _run_builtin(
        self, op: int, values: Values, types: FusedTypes, rng: np.random.Generator
    ) -> None:
        """A builtin operator; numbers of its results' types where it has no meaning here."""
        try:
            self._normal.run([op], values, types)
        except NoMatchError:
            for tensor in self._normal.view.op(op).outputs:
                values[tensor] = probe(self._normal.view.tensor(tensor), rng)

    # ---- the verdict -----------------------------------------------------------------------------

    def _is_decided(self, regions: dict[int, _Region], outputs: dict[int, Noise]) -> bool:
        noises = [n for r in regions.values() for n in (r.noise, r.limited)]
        noises += [n for n in outputs.values() if n.count]
        return all(n.count >= _LEAST_VALUES and n.decided for n in noises)

    def _verdict(
        self, regions: list[_Region], outputs: dict[int, Noise], read: dict[int, Noise]
    ) -> list[Refusal]:
        refused: dict[PatternPlace, str] = {}
        for r in regions:
            reason = r.noise.over_threshold() or r.limited.refusal()
            if reason is not None:
                refused.setdefault(r.lowered.place, reason)
        if refused:
            return list(itertools.starmap(Refusal, refused.items()))
        for noise in outputs.values():
            reason = noise.over_threshold() if noise.count else None
            if not regions:
                if reason is not None and noise.plain_db - noise.fused_db > _NORMAL_LOSS_DB:
                    self.fault = reason
            elif reason is not None:
                worst = max(regions, key=lambda r: r.noise.plain_db - r.noise.fused_db)
                return [Refusal(worst.lowered.place, f"of the whole network: {reason}")]
        compared = [n for n in read.values() if n.count]
        if compared and regions:
            worst_db = [min(getattr(n, k) for n in compared) for k in ("plain_db", "fused_db")]
            self.accuracy = Accuracy(*worst_db)
        return []


def _columns(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 1
