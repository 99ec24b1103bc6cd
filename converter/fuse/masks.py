# SPDX-License-Identifier: Apache-2.0
"""What a quantizer made of masks on attention's scores and cannot be mended: for the report."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from converter.fuse.rewrite.building import is_int8, same_type
from converter.fuse.rewrite.rules.swallowed_scores import largest_product, reach
from converter.tflite import GraphView

_COARSE = 1.0  # a step of a softmax's input that makes 2.7 of 1
_MASKS = ("ADD", "SUB", "SELECT", "SELECT_V2")
_SEEN = 5.0  # a number so far below 0 leaves a key a 150th of what a score of 0 has


def mask_remarks(view: GraphView, fused: Collection[int], plain: int) -> Iterator[str]:
    """Lines on softmaxes whose scores have no steps or may be cut, or whose hidden keys are seen.

    Args:
      view: the graph in normal form.
      fused: operators that are part of fused ones, which have scores and masks of their own.
      plain: how many of the tensors were in the file.
    """
    for op, operator in enumerate(view.graph.operators):
        if (
            op in fused
            or operator.opcode != "SOFTMAX"
            or not is_int8(view.tensor(operator.inputs[0]))
        ):
            continue
        scores = operator.inputs[0]
        limit = _estimated(view, scores, plain)
        if limit is not None:
            yield (
                f"{view.label(op)} takes scores of up to {limit:.3g}, either sign, as products of "
                "features without a common sign are; larger ones are cut: hide with -30 instead, "
                "so that their range is calibrated"
            )
        step = view.tensor(scores).scale
        if step >= _COARSE:
            yield (
                f"{view.label(op)} gets scores in steps of {step:.3g}: a mask has taken the finer "
                "ones; hide with -30 instead"
            )
            continue
        hidden = _number_put(view, scores)
        if hidden is not None and hidden > -_SEEN:
            yield (
                f"{view.label(op)} sees hidden keys: its mask puts {hidden:.3g} there, the least "
                "that the int8 of its scores holds; calibrate with masked inputs"
            )


def _estimated(view: GraphView, scores: int, plain: int) -> float | None:
    """The range of a product behind a mask, where no calibration but an estimate gave it."""
    op = view.producer(scores)
    if op is None or view.op(op).opcode not in _MASKS:
        return None
    for i in view.op(op).inputs:
        t, made = view.tensor(i), view.producer(i)
        if i < plain or made is None or view.op(made).opcode != "BATCH_MATMUL":
            continue
        calibrated = any(same_type(t, other) for other in view.graph.tensors[:plain])
        if not calibrated and reach(t) < largest_product(view, made)[1]:
            return reach(t)
    return None


def _number_put(view: GraphView, scores: int) -> float | None:
    """The least int8, as a real number, that a SELECT puts on computed scores."""
    op = view.producer(scores)
    if op is None or view.op(op).opcode not in ("SELECT", "SELECT_V2"):
        return None
    condition, *values = view.op(op).inputs
    if view.is_constant(condition):
        return None  # known beforehand: a bias of the fused attention, or a reason why not
    for i in values:
        t = view.tensor(i)
        if t.data is not None and t.size == 1 and int(t.data.reshape(-1)[0]) == -128:
            return float(t.real().reshape(-1)[0])
    return None
