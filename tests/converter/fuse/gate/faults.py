# SPDX-License-Identifier: Apache-2.0
"""Faults of lowering, planted: each turns a right operator into a wrong one of the same kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tflm_custom_ops.ops import (
    Attention,
    Gelu,
    LayerNorm,
    Linear,
    LinearOp,
    Mlp,
    Params,
    PatchEmbed,
    Pool,
)

_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Fault:
    """A planted fault.

    Attributes:
      name: for the test.
      kind: the operator that it is in.
      plant: the wrong operator.
    """

    name: str
    kind: type
    plant: Callable[[Any], Params]


def _linear(change: Callable[[Linear], Linear], *path: str) -> Callable[[Any], Params]:
    """Changes the layer at a path of attributes."""

    def plant(op: Any) -> Any:
        if not path:
            return change(op)
        inner = _linear(change, *path[1:])(getattr(op, path[0]))
        return dataclasses.replace(op, **{path[0]: inner})

    return plant


def _in(*path: str, **changes: Callable[[Any], Any]) -> Callable[[Any], Params]:
    """Changes fields of the part at a path of attributes; one that is absent stays so."""

    def change(part: Any) -> Any:
        if part is None:
            return None
        new = {name: function(getattr(part, name)) for name, function in changes.items()}
        return dataclasses.replace(part, **new)

    return _linear(change, *path)


def _no_bias(p: Linear) -> Linear:
    """The layer's own bias is lost; the input's zero point stays folded in."""
    folded = p.bias.astype(np.int64) - p.bias.astype(np.int64).mean().astype(np.int64)
    return dataclasses.replace(p, bias=(p.bias - folded).astype(np.int32))


def _scaled(factor: float) -> Callable[[Linear], Linear]:
    def change(p: Linear) -> Linear:
        values = np.minimum(np.round(p.multiplier * factor), _INT32)
        return dataclasses.replace(p, multiplier=values.astype(np.int32))

    return change


def _rows(order: Callable[[int], np.ndarray[Any, Any]]) -> Callable[[Linear], Linear]:
    """Output features in another order."""

    def change(p: Linear) -> Linear:
        at = order(p.out_features)
        return dataclasses.replace(
            p, weights=p.weights[at], bias=p.bias[at], multiplier=p.multiplier[at]
        )

    return change


def _heads_swapped(width: int) -> np.ndarray[Any, Any]:
    return np.roll(np.arange(width), width // 3)


def _columns_reversed(p: Linear) -> Linear:
    return dataclasses.replace(p, weights=np.ascontiguousarray(p.weights[:, ::-1]))


def _transposed(p: Linear) -> Linear:
    return dataclasses.replace(p, weights=np.ascontiguousarray(p.weights.T))


def _half(p: Linear) -> Linear:
    keep = p.out_features // 2
    return _rows(lambda width: np.arange(keep))(p)


def _times(factor: float) -> Callable[[int], int]:
    return lambda value: int(value * factor)


def _shuffled(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(values[::-1])


def _shifted(lut: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.concatenate([lut[2:], lut[-1:], lut[-1:]])


def _swap_k_v(op: Attention) -> Attention:
    k = dataclasses.replace(op.v, up=dataclasses.replace(op.v.up, out_min=-127))
    return dataclasses.replace(op, k=k, v=op.k)


def _patch_turned(p: Linear) -> Linear:
    """Pixels column by column."""
    side = 4
    cube = p.weights.reshape(p.out_features, side, side, -1).transpose(0, 2, 1, 3)
    return dataclasses.replace(p, weights=np.ascontiguousarray(cube.reshape(p.weights.shape)))


def _natural(table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Powers of e where powers of 2 are meant."""
    return np.round(table[0] * np.exp(-np.arange(256) / 256.0)).astype(np.uint16)


ATTENTION = (
    ("heads of q swapped", _linear(_rows(_heads_swapped), "q", "up")),
    ("heads of v swapped", _linear(_rows(_heads_swapped), "v", "up")),
    ("k and v exchanged", _swap_k_v),
    ("bias of q lost", _linear(_no_bias, "q", "up")),
    ("bias of v lost", _linear(_no_bias, "v", "up")),
    ("bias of the output lost", _linear(_no_bias, "out", "up")),
    ("scale of v times 1.05", _linear(_scaled(1.05), "v", "up")),
    ("scale of the output times 1.05", _linear(_scaled(1.05), "out", "up")),
    ("scale of the scores times 1.3", _in(score_multiplier=_times(1.3))),
    ("scale of the context times 1.05", _in(context_numerator=_times(1.05))),
    ("zero point of the context", _in(context_zero_point=lambda z: z + 3)),
    ("width of v halved", _linear(_half, "v", "up")),
    ("weights of the output transposed", _linear(_transposed, "out", "up")),
    ("residual times 1.05", _in("residual", multiplier=_times(1.05))),
    ("zero point of a neighbour for x", _in("residual", zero_point=lambda z: z + 4)),
    ("zero point of a neighbour for y", _in("out", "up", out_zero_point=lambda z: z - 4)),
    ("gamma in another order", _in("norm", gamma=_shuffled)),
    ("beta lost", _in("norm", beta=lambda b: np.full_like(b, b.mean()))),
    ("exponentials of another base", _in(exp_table=_natural)),
    ("clamp of a ReLU on v", _in("v", "up", out_min=lambda _: 0)),
)
MLP = (
    ("table shifted", _in(lut=_shifted)),
    ("table reversed", _in(lut=_shuffled)),
    ("bias of fc1 lost", _linear(_no_bias, "fc1", "up")),
    ("bias of fc2 lost", _linear(_no_bias, "fc2", "up")),
    ("scale of fc1 times 1.05", _linear(_scaled(1.05), "fc1", "up")),
    ("scale of fc2 times 1.05", _linear(_scaled(1.05), "fc2", "up")),
    ("features of fc1 in another order", _linear(_rows(lambda n: np.arange(n)[::-1]), "fc1", "up")),
    ("inputs of fc2 in another order", _linear(_columns_reversed, "fc2", "up")),
    ("residual times 1.05", _in("residual", multiplier=_times(1.05))),
    ("gamma times 1.05", _in("norm", gamma=lambda g: (g * 1.05).astype(np.int32))),
)
PATCH_EMBED = (
    ("pixels column by column", _linear(_patch_turned, "linear")),
    ("bias lost", _linear(_no_bias, "linear")),
    ("positions lost", lambda op: dataclasses.replace(op, pos=np.full_like(op.pos, 0))),
    ("positions times 1.05", _in(pos_multiplier=_times(1.05))),
    ("class token's sign", _in(cls=lambda c: (-c.astype(int)).clip(-128, 127).astype(c.dtype))),
    ("scale times 1.05", _linear(_scaled(1.05), "linear")),
)
LAYER_NORM = (
    ("first token instead of the mean", lambda op: dataclasses.replace(op, pool=Pool.FIRST)),
    ("zero point of a neighbour", _in(pool_zero_point=lambda z: z + 3)),
    ("mean times 1.05", _in(pool_multiplier=_times(1.05))),
)
LINEAR = (
    ("bias lost", _linear(_no_bias, "projection", "up")),
    ("scale times 1.05", _linear(_scaled(1.05), "projection", "up")),
    ("inputs in another order", _linear(_columns_reversed, "projection", "up")),
    ("zero point of a neighbour", _in("projection", "up", out_zero_point=lambda z: z + 2)),
)
GELU = (("table shifted", _in(lut=_shifted)), ("table reversed", _in(lut=_shuffled)))

FAULTS = tuple(
    Fault(f"{kind.__name__}: {name}", kind, plant)
    for kind, entries in (
        (Attention, ATTENTION),
        (Mlp, MLP),
        (PatchEmbed, PATCH_EMBED),
        (LayerNorm, LAYER_NORM),
        (LinearOp, LINEAR),
        (Gelu, GELU),
    )
    for name, plant in entries
)
