# SPDX-License-Identifier: Apache-2.0
"""What the report says of float operators that became integers, and when they had better not."""

from __future__ import annotations

import collections

from converter.fuse.islands.cuts import RangeSource
from converter.fuse.islands.stage import IntegerForm
from converter.fuse.report import Accuracy

DATA = "--images=FOLDER or --calibration_file=FILE.npy"
_FAR_DB, _FINE_DB = 6.0, 30.0
_WORTH_SAYING_DB = 1.0
_NAMED = 3


def is_too_far(form: IntegerForm, accuracy: Accuracy | None) -> bool:
    """Whether bounds as ranges make too coarse integers: data would give better ones."""
    if accuracy is None or form.inputs or not form.has_bounds:
        return False
    far = accuracy.plain_db - accuracy.fused_db > _FAR_DB
    return far and accuracy.fused_db < _FINE_DB


def remarks(form: IntegerForm, is_wide: bool, accuracy: Accuracy | None) -> list[str]:
    """Lines for people.

    Args:
      is_wide: whether a stream became int16.
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
    if form.unbounded:
        names = ", ".join(form.unbounded[:_NAMED])
        more = f" and {len(form.unbounded) - _NAMED} more" * (len(form.unbounded) > _NAMED)
        lines.append(f"stays in float, for it has no range: {names}{more}; {DATA} gives one")
    if accuracy is not None:
        lost = accuracy.plain_db - accuracy.fused_db
        if lost > _WORTH_SAYING_DB:
            remedy = _remedy(form, is_wide)
            lines.append(f"these integers cost {lost:.1f} dB" + (f"; {remedy}" if remedy else ""))
    return lines


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
