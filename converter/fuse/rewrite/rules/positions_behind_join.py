# SPDX-License-Identifier: Apache-2.0
"""Positions added to constant and computed tokens alike go to the computed ones alone.

    (c | x) + p  =  (c + p_c | x + p_x)

c are two or more tokens of the network's own (class and distillation token, registers). Their sum
is a constant, rounded as the plain ADD rounds it; that of the patches goes into the patch
embedding. One class token stays where it is: the patch embedding has a place for it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor

_LEAST_CONSTANT = 2  # tokens


def _rounded(real: NDArray[np.float64], like: Tensor) -> NDArray[np.int8]:
    """Integers of the tensor's type, in float32 as an evaluation of the graph has them."""
    steps = np.rint(real.astype(np.float32) / np.float32(like.scale)) + like.zero_point
    return np.asarray(np.clip(steps, -128, 127).astype(np.int8))


def _real(values: NDArray[np.int8], like: Tensor) -> NDArray[np.float64]:
    return (values.astype(np.float64) - like.zero_point) * like.scale


def _positions(view: GraphView, add: int, joined: int) -> Tensor | None:
    """The constant that is added: int8, a row for each token."""
    left, right = view.op(add).inputs
    positions = view.tensor(right if left == joined else left)
    shape = view.tensor(joined).shape
    if positions.data is None or not is_int8(positions) or positions.size != int(np.prod(shape)):
        return None
    return positions


def _apply(view: GraphView, add: int) -> Edit | None:
    operator = view.op(add)
    joined = next((i for i in operator.inputs if not view.is_constant(i)), None)
    join = None if joined is None else view.producer(joined)
    if joined is None or join is None or view.op(join).opcode != "CONCATENATION":
        return None
    whole, y = view.tensor(joined), view.tensor(operator.outputs[0])
    axis = view.op(join).options.axis % len(whole.shape)
    parts = view.op(join).inputs
    constant = sum(view.tensor(p).shape[axis] for p in parts if view.is_constant(p))
    plain = fused_activation(view.op(join)) == fused_activation(operator) == "NONE"
    same = whole.shape == y.shape and is_int8(whole) and is_int8(y) and axis < len(y.shape) - 1
    positions = _positions(view, add, joined)
    if positions is None or not plain or not same or single_reader(view, joined) != add:
        return None
    if constant < _LEAST_CONSTANT or sum(not view.is_constant(p) for p in parts) != 1:
        return None
    return _moved(view, add, join, axis, positions)


def _moved(view: GraphView, add: int, join: int, axis: int, positions: Tensor) -> Edit:
    b = Builder(view)
    whole, y = view.tensor(view.op(join).outputs[0]), view.tensor(view.op(add).outputs[0])
    assert positions.data is not None
    rows = positions.data.reshape(whole.shape)
    new, at = [], 0
    for part in view.op(join).inputs:
        t = view.tensor(part)
        own = np.take(rows, range(at, at + t.shape[axis]), axis=axis)
        at += t.shape[axis]
        added = dataclasses.replace(positions, shape=own.shape, data=own)
        if t.data is not None:
            real = _real(_rounded(t.real(), whole), whole) + added.real()
            q = Quantization.per_tensor(y.scale, y.zero_point)
            name = f"{t.name}/positions"
            b.constant(real.astype(np.float32), name)  # nothing reads it, unless y becomes int16
            new.append(b.constant(_rounded(real, y), f"{name}/int8", q))
            continue
        total = b.tensor(dataclasses.replace(y, name=f"{t.name}/positions", shape=t.shape))
        source = b.tensor(added)
        b.operators.append(
            dataclasses.replace(view.op(add), inputs=(part, source), outputs=(total,))
        )
        new.append(total)
    outputs = view.op(add).outputs
    b.operators.append(dataclasses.replace(view.op(join), inputs=tuple(new), outputs=outputs))
    return Edit((join, add), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "positions_behind_join",
    "adds positions to computed tokens before constant ones are put beside them, where these are "
    "two or more",
    frozenset({"ADD"}),
    _apply,
    on_integers=True,
)
