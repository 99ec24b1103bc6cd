# SPDX-License-Identifier: Apache-2.0
"""What the report says of float operators that became integers, and when they had better not."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Container, Sequence

from converter.fuse.islands.cuts import RangeSource
from converter.fuse.islands.stage import IntegerForm
from converter.fuse.op_semantics import VIEWS
from converter.fuse.patterns.match import Match
from converter.fuse.report import Accuracy
from converter.tflite import GraphView

DATA = "--images=FOLDER or --calibration_file=FILE.npy"
_FAR_DB, _FINE_DB = 6.0, 30.0
_WORTH_SAYING_DB = 1.0
_NAMED = 3
_MOVING = frozenset({*VIEWS, "QUANTIZE", "DEQUANTIZE"})


def is_too_far(form: IntegerForm, accuracy: Accuracy | None) -> bool:
    """Whether bounds as ranges make too coarse integers: data would give better ones."""
    if accuracy is None or form.inputs or not form.has_bounds:
        return False
    far = accuracy.plain_db - accuracy.fused_db > _FAR_DB
    return far and accuracy.fused_db < _FINE_DB


@dataclasses.dataclass(frozen=True)
class Staying:
    """Builtin operators of the fused graph, as messages call them.

    Attributes:
      all: every one.
      rounded: those that compute, and round to int8 what they gave in float.
    """

    all: frozenset[str]
    rounded: tuple[str, ...]


def staying(view: GraphView, narrow: Container[int], kept: Collection[int]) -> Staying:
    """What became of the operators that no fused one replaces.

    Args:
      view: the graph that was matched.
      narrow: tensors that are float in the file and int8 now.
      kept: their numbers there.
    """
    rounded = [op for op in sorted(kept) if _rounds(view, narrow, op)]
    return Staying(frozenset(map(view.label, kept)), tuple(map(view.label, rounded)))


def _rounds(view: GraphView, narrow: Container[int], op: int) -> bool:
    operator = view.op(op)
    if operator.opcode in _MOVING:
        return False
    ends = set(operator.outputs)
    casts = [r for t in ends for r in view.consumers(t) if view.op(r).opcode == "QUANTIZE"]
    ends |= {t for cast in casts for t in view.op(cast).outputs}
    return any(t in narrow for t in ends)


def coarse_means(view: GraphView, form: IntegerForm, matches: Sequence[Match]) -> tuple[str, ...]:
    """The means, as messages call them, of int8 tokens that a fused LayerNorm takes.

    Inside the fused operator the tokens are int8: the range of their type decides how well the mean
    of a few is known.
    """
    if not form.has_bounds:
        return ()
    found = (m.ops for m in matches if m.averaged in form.integers)
    means = ([op for op in ops if view.op(op).opcode == "MEAN"] for ops in found)
    return tuple(view.label(max(ops)) for ops in means)


def remarks(
    form: IntegerForm,
    is_wide: bool,
    stay: Staying,
    means: Sequence[str],
    accuracy: Accuracy | None,
) -> list[str]:
    """Lines for people.

    Args:
      is_wide: whether a stream became int16.
      means: what `coarse_means` says.
    """
    lines: list[str] = []
    if form.cuts:
        lines.append(
            f"{len(form.cuts)} tensors between float operators became int8; ranges: {_ranges(form)}"
        )
    if form.constants:
        lines.append(f"{form.constants} constants of float operators became int8")
    if is_wide:
        lines.append("the residual stream, in float before, is int16; --residual_bits=8: int8")
    if means:
        lines.append(
            f"the mean over tokens is of int8 ones whose range is a bound: {_named(means)}; "
            f"{DATA} gives a narrower one"
        )
    unbounded = [name for name in form.unbounded if name in stay.all]
    if unbounded:
        lines.append(f"stays in float, for it has no range: {_named(unbounded)}; {DATA} gives one")
    if accuracy is not None:
        lost = accuracy.plain_db - accuracy.fused_db
        if lost > _WORTH_SAYING_DB:
            remedy = _remedy(form, is_wide)
            lines.append(f"these integers cost {lost:.1f} dB" + (f"; {remedy}" if remedy else ""))
            if stay.rounded:
                lines.append(
                    f"not fused, in int8 now and in float in the file: {_named(stay.rounded)}"
                )
    return lines


def _named(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _NAMED} more" * (len(labels) > _NAMED)
    return ", ".join(labels[:_NAMED]) + more


def _ranges(form: IntegerForm) -> str:
    """How many come from where."""
    counts = collections.Counter(cut.source for cut in form.cuts)
    said = {
        RangeSource.QUANTIZE: "of a QUANTIZE beside it",
        RangeSource.EXACT: "exact",
        RangeSource.SEEN: f"seen on {form.inputs} inputs",
        RangeSource.BOUND: "a bound that nothing exceeds",
    }
    return ", ".join(f"{counts[s]} {said[s]}" for s in RangeSource if counts[s])


def _remedy(form: IntegerForm, is_wide: bool) -> str:
    if form.has_bounds:
        return f"{DATA} gives narrower ranges"
    return "" if is_wide else "--residual_bits=16 makes finer ones"


def too_far(accuracy: Accuracy) -> str:
    """Why float operators stay as they are."""
    return (
        f"float operators stay: as integers, whose ranges would be bounds, the network would be "
        f"{accuracy.fused_db:.1f} dB from the float one, as it is {accuracy.plain_db:.1f} dB; "
        f"{DATA}, or --residual_bits=16, makes them integers"
    )
