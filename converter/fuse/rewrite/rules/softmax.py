# SPDX-License-Identifier: Apache-2.0
"""A softmax that was taken apart becomes one SOFTMAX over the last axis.

Keras writes a softmax over several axes as exp(x - logsumexp(x)) with a guard against infinity,
others as exp(x - max) / sum. As with LayerNorm no sequence is compared: the operators between two
tensors are run on probe values, and the function must be softmax.

The result goes through int16, the finest output that TFLite's SOFTMAX has, because its int8 output
is fixed at 1/256 and a calibrated scale may be far finer.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.op_semantics import (
    BROADCASTS,
    POINTWISE,
    REDUCTIONS,
    RESHAPES,
    SOFTMAX_PARTS,
    evaluate,
)
from converter.fuse.region import between, check_closed
from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor

_INSIDE = frozenset({*POINTWISE, *REDUCTIONS, *RESHAPES, *BROADCASTS, *SOFTMAX_PARTS})
_MAX_STEPS = 32
_TOLERANCE = 1e-4  # of a probability
# TFLite's fixed type of an int16 softmax of int8 (kernels/activations.cc).
_INT16 = Quantization.per_tensor(1.0 / 65536.0, -32768)


@dataclasses.dataclass(frozen=True)
class _Softmax:
    """A softmax of `x` over the last axis of `shape`, made of `ops`."""

    x: int
    ops: tuple[int, ...]
    shape: tuple[int, ...]


def _sources(view: GraphView, y: int) -> list[tuple[int, tuple[int, ...]]]:
    """(tensor, axes) of every maximum or sum before `y` that runs over the last axes."""
    found: list[tuple[int, tuple[int, ...]]] = []
    pending, seen = [y], set[int]()
    while pending and len(seen) < _MAX_STEPS:
        tensor = pending.pop(0)
        op = view.producer(tensor)
        if tensor in seen or op is None or view.op(op).opcode not in _INSIDE:
            continue
        seen.add(tensor)
        operator = view.op(op)
        pending += [i for i in operator.inputs if i >= 0 and not view.is_constant(i)]
        if operator.opcode not in ("REDUCE_MAX", "SUM"):
            continue
        axes = view.tensor(operator.inputs[1]).data
        rank = len(view.tensor(operator.inputs[0]).shape)
        if axes is None:
            continue
        named = tuple(sorted({int(a) % rank for a in axes.reshape(-1)}))
        if named and named == tuple(range(named[0], rank)):
            found += [(t, named) for t in (operator.inputs[0], *_before(view, operator.inputs[0]))]
    return found


def _before(view: GraphView, tensor: int) -> list[int]:
    """What the tensor is an exponential or difference of, as far back as that goes."""
    found: list[int] = []
    while len(found) < _MAX_STEPS:
        op = view.producer(tensor)
        if op is None or view.op(op).opcode not in ("EXP", "SUB"):
            break
        tensor = view.op(op).inputs[0]
        found.append(tensor)
    return found


def _is_softmax(view: GraphView, ops: tuple[int, ...], x: int, y: int, count: int) -> bool:
    rng = np.random.default_rng(0)
    shape = view.tensor(x).shape
    for spread in (0.5, 4.0):
        values: NDArray[np.float64] = rng.normal(0.0, spread, shape)
        with np.errstate(all="ignore"):
            got = evaluate(view, ops, {x: values}, y)
        rows = values.reshape(-1, count)
        e = np.exp(rows - rows.max(axis=1, keepdims=True))
        expected = (e / e.sum(axis=1, keepdims=True)).reshape(shape)
        if got.shape != shape or not np.max(np.abs(got - expected)) <= _TOLERANCE:
            return False
    return True


def _apply(view: GraphView, op: int) -> Edit | None:
    y = view.op(op).outputs[0]
    if not is_int8(view.tensor(y)):
        return None
    best: _Softmax | None = None
    for x, axes in _sources(view, y):
        found = _match(view, x, y, axes)
        if found is not None and (best is None or len(found.ops) > len(best.ops)):
            best = found  # softmax(x - max) is softmax(x): the longest one takes the maximum along
    return None if best is None else _edit(view, best.ops, best.x, y, best.shape)


def _match(view: GraphView, x: int, y: int, axes: tuple[int, ...]) -> _Softmax | None:
    shape = view.tensor(x).shape
    if not is_int8(view.tensor(x)) or shape != view.tensor(y).shape:
        return None
    try:
        ops = between(view, x, y, _INSIDE, "a softmax")
        check_closed(view, ops, {y})
    except NoMatchError:
        return None
    count = int(np.prod(shape[axes[0] :], dtype=np.int64))
    if not ops or not _is_softmax(view, ops, x, y, count):
        return None
    return _Softmax(x, ops, (*shape[: axes[0]], count))


def _edit(view: GraphView, ops: tuple[int, ...], x: int, y: int, shape: tuple[int, ...]) -> Edit:
    b = Builder(view)
    name = view.tensor(y).name
    scores = b.reshape(x, shape)
    fine = b.tensor(Tensor(f"{name}/int16", shape, np.dtype(np.int16), _INT16))
    b.op("SOFTMAX", [scores], [fine], "SoftmaxOptions", beta=1.0)
    if shape == view.tensor(y).shape:
        b.op("QUANTIZE", [fine], [y], "QuantizeOptions")
    else:
        narrow = b.like(y, shape, f"{name}/int8")
        b.op("QUANTIZE", [fine], [narrow], "QuantizeOptions")
        b.reshape(narrow, view.tensor(y).shape, y)
    return Edit(ops, tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "softmax",
    "puts a softmax that was taken apart (maximum, exponential, sum) together, over the last axis",
    frozenset({"EXP", "DIV", "MUL"}),
    _apply,
)
