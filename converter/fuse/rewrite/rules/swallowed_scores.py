# SPDX-License-Identifier: Apache-2.0
"""Scores that a computed mask left no steps get their own again.

A mask of 0 and -10,000 that is added before a softmax, or -1e9 that a SELECT puts there, has steps
so coarse that every score is 0. Behind the softmax nothing tells such numbers from what is far
enough below the scores: mask, scores and what they make get ranges by the scores.

The range of a product that nobody calibrated is an estimate (:func:`largest_product`): larger
scores are cut, which `converter.fuse.masks` says.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.rules.tight_ranges import in_range
from converter.tflite import GraphView, Quantization, Tensor
from converter.tflite.narrow_sums import real_range

_COARSE = 1.0  # a step of a softmax's input that makes 2.7 of 1
_FINER = 0.5  # of a step before, which is worth a change
_BELOW = 8.0  # every score: less than a step of the softmax
_FACTOR = 2.0**14  # of a step to another at a time, that 32 bits hold any int8 times it
_MOST_STEPS = 4


def reach(t: Tensor) -> float:
    """The largest number of a type, either sign."""
    return max(abs(end) for end in real_range(t))


def largest_product(view: GraphView, op: int) -> tuple[float, float]:
    """What the results of a BATCH_MATMUL reach at most: (usually, ever).

    Usually: of features without a common sign, whose sum grows as the root of their number. Vectors
    that are alike in most signs, of numbers next to the ends of their types, make more.
    """
    operator = view.op(op)
    a, c = (view.tensor(i) for i in operator.inputs)
    depth = a.shape[-2 if operator.options.adjX else -1]
    one = reach(a) * reach(c)
    return one * math.sqrt(depth), one * depth


def _limit(view: GraphView, scores: int) -> float | None:
    """The largest score, either sign: of its type, or of what computes it where that is coarse and
    says less."""
    t, op = view.tensor(scores), view.producer(scores)
    if not is_int8(t) or t.is_constant:
        return None
    if t.scale < _COARSE:
        return reach(t)
    if op is None or single_reader(view, scores) is None:
        return None
    operator = view.op(op)
    a, c = (view.tensor(i) for i in operator.inputs)
    if operator.opcode == "MUL" and fused_activation(operator) == "NONE":
        return min(reach(t), reach(a) * reach(c))
    if operator.opcode == "BATCH_MATMUL":
        return min(reach(t), largest_product(view, op)[0])
    return None


def _anew(view: GraphView, b: Builder, scores: int, q: Quantization) -> tuple[int, list[int]]:
    """(the scores in that type, operators that go)."""
    t, op = view.tensor(scores), view.producer(scores)
    own = b.tensor(dataclasses.replace(t, name=f"{t.name}/own", quantization=q))
    if t.scale < _COARSE or op is None:
        b.op("QUANTIZE", [scores], [own], "QuantizeOptions")
        return own, []
    b.operators.append(dataclasses.replace(view.op(op), outputs=(own,)))
    return own, [op]


def _from_seen(b: Builder, mask: int, is_less: bool) -> int:
    """The mask less its number at the keys that are seen, which softmax does not tell from it.

    That number need not be 0: 1 in steps of 2/255 is 0.996, of which a mask of -10,000 makes -39.
    """
    t = b.get(mask)
    axis = len(t.shape) - 1
    last = b.constant(np.array([axis], np.int32), "axis")
    most = b.like(mask, (*t.shape[:-1], 1), f"{t.name}/seen")
    name = "REDUCE_MIN" if is_less else "REDUCE_MAX"
    b.op(name, [mask, last], [most], "ReducerOptions", keepDims=True)
    q = Quantization.per_tensor(t.scale, -128 if is_less else 127)
    away = b.tensor(dataclasses.replace(t, name=f"{t.name}/from_seen", quantization=q))
    b.op("SUB", [mask, most], [away], "SubOptions", fusedActivationFunction=0)
    return away


def _finer(b: Builder, mask: int, low: float, high: float) -> int | None:
    """The mask with a range from `low` to `high`, in steps whose factors are small enough."""
    wanted = in_range(low, high)
    for _ in range(_MOST_STEPS):
        t = b.get(mask)
        last = t.scale <= _FACTOR * wanted.scale[0]
        nearer = Quantization.per_tensor(t.scale / _FACTOR, int(wanted.zero_point[0]))
        q = wanted if last else nearer
        finer = b.tensor(dataclasses.replace(t, name=f"{t.name}/finer", quantization=q))
        b.op("QUANTIZE", [mask], [finer], "QuantizeOptions")
        if last:
            return finer
        mask = finer
    return None


def _added(view: GraphView, b: Builder, op: int) -> tuple[int, list[int]] | None:
    """Scores and a mask that only lowers them: (their sum's tensor anew, operators that go)."""
    operator = view.op(op)
    if fused_activation(operator) != "NONE":
        return None
    is_less = operator.opcode == "SUB"
    for scores, mask in (operator.inputs, operator.inputs[::-1])[: 1 if is_less else 2]:
        t, limit = view.tensor(mask), _limit(view, scores)
        if limit is None or not is_int8(t) or t.is_constant:
            continue
        if (-real_range(t)[0] if is_less else real_range(t)[1]) > 0.0:
            continue
        below = 2 * limit + _BELOW
        away = _from_seen(b, mask, is_less) if t.shape else mask
        finer = _finer(b, away, 0.0, below) if is_less else _finer(b, away, -below, 0.0)
        if finer is None:
            continue
        own, gone = scores, list[int]()
        if view.tensor(scores).scale >= _COARSE:
            own, gone = _anew(view, b, scores, in_range(-limit, limit))
        y = view.tensor(operator.outputs[0])
        q = in_range(-limit - below, limit)
        total = b.tensor(dataclasses.replace(y, name=f"{y.name}/own", quantization=q))
        kind = "SubOptions" if is_less else "AddOptions"
        b.op(operator.opcode, [own, finer], [total], kind, fusedActivationFunction=0)
        return total, gone
    return None


def _selected(view: GraphView, b: Builder, op: int) -> tuple[int, list[int]] | None:
    """Scores or a constant far below them."""
    condition, *values = view.op(op).inputs
    if view.is_constant(condition):
        return None  # a bias of attention, which has more bits
    for scores, constant in (values, values[::-1]):
        t, limit = view.tensor(constant), _limit(view, scores)
        if limit is None or not t.is_constant or t.size != 1:
            continue
        below = 2 * limit + _BELOW
        if real_range(t)[1] > -below:
            continue
        q = in_range(-limit - below, limit)
        own, gone = _anew(view, b, scores, q)
        lowest = b.constant(np.full(t.shape, -128, np.int8), f"{t.name}/own", q)
        y = view.tensor(view.op(op).outputs[0])
        total = b.tensor(dataclasses.replace(y, name=f"{y.name}/own", quantization=q))
        new = (own, lowest) if scores == values[0] else (lowest, own)
        b.operators.append(
            dataclasses.replace(view.op(op), inputs=(condition, *new), outputs=(total,))
        )
        return total, gone
    return None


_MASKED = {"ADD": _added, "SUB": _added, "SELECT": _selected, "SELECT_V2": _selected}


def _apply(view: GraphView, softmax: int) -> Edit | None:
    (total,) = view.op(softmax).inputs
    op = view.producer(total)
    if op is None or view.op(op).opcode not in _MASKED or single_reader(view, total) is None:
        return None
    if not is_int8(view.tensor(total)) or view.tensor(total).scale < _COARSE:
        return None
    b = Builder(view)
    found = _MASKED[view.op(op).opcode](view, b, op)
    if found is None:
        return None
    own, gone = found
    if b.get(own).scale > _FINER * view.tensor(total).scale:
        return None  # scores as large as that, whose steps no mask took
    b.operators.append(dataclasses.replace(view.op(softmax), inputs=(own,)))
    return Edit(tuple(sorted((*gone, op, softmax))), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "swallowed_scores",
    "gives scores the steps again that a mask of -10,000 or less took from them",
    frozenset({"SOFTMAX"}),
    _apply,
)
