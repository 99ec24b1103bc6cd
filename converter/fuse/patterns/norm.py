# SPDX-License-Identifier: Apache-2.0
"""Layer normalization in any lowering.

Known ones: Keras 3 (13 operators with a DEQUANTIZE/NEG/QUANTIZE island), tf_keras (SUB; with its
default epsilon a batch norm of the turned tensor, between two TRANSPOSEs), and
x - mean(x) written out (7 operators; gamma and beta are folded into the next layer, or follow as
MUL and ADD). None is matched by its sequence: the operators between two tensors are run in float64
on probe values, gamma, beta and epsilon are read off the results, and the function must then be
(x - mean) / sqrt(var + epsilon) * gamma + beta on random values (Ba et al. 2016). A ReLU that is
fused into the last of them is no part of it where the result's type ends at 0 by itself.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.op_semantics import (
    BROADCASTS,
    NORMALIZATIONS,
    POINTWISE,
    REDUCTIONS,
    RESHAPES,
    apply_activation,
    evaluate,
)
from converter.fuse.region import between
from converter.tflite import GraphView
from tflm_custom_ops.ops.parts import NormKind

_ALLOWED = frozenset(
    {*POINTWISE, *REDUCTIONS, *RESHAPES, *BROADCASTS, *NORMALIZATIONS, "TRANSPOSE"}
)
_Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_TOLERANCE = 1e-4  # of the largest value; constants such as 1/D are themselves quantized
_PROBES = 3
_SMALL = 1e-3  # standard deviation at which epsilon shows
_LARGE = 1e3  # and at which it does not


@dataclasses.dataclass(frozen=True, eq=False)
class NormMatch:
    """y = LayerNorm(x) or RMSNorm(x) over the last axis.

    Attributes:
      x, y: tensor indices.
      gamma, beta: float64 [embed_dim]; 1 and 0 where the converter folded them away.
      epsilon: added to the variance.
      ops: operators from x to y.
    """

    x: int
    y: int
    gamma: NDArray[np.float64]
    beta: NDArray[np.float64]
    epsilon: float
    kind: NormKind
    ops: tuple[int, ...]


NAMES = {NormKind.LAYER: "LayerNorm", NormKind.RMS: "RMSNorm"}


def match_norm(view: GraphView, x: int, y: int, kind: NormKind = NormKind.LAYER) -> NormMatch:
    """Recognises the operators between `x` and `y` as one LayerNorm (or RMSNorm).

    Raises:
      NoMatchError: another activation is involved, or they compute something else.
    """
    name = view.tensor(y).name
    ops = between(view, x, y, _ALLOWED, f"{NAMES[kind]} output {name!r}")
    shape = view.tensor(x).shape
    if not ops or not shape or view.tensor(y).size != view.tensor(x).size:
        raise NoMatchError(f"{name!r} is not a {NAMES[kind]} of its block's input")
    width = shape[-1]
    last = view.producer(y)
    unclipped = last if last is not None and _is_in_type(view, last) else None

    def run(values: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            result = evaluate(view, ops, {x: values}, y, unclipped=unclipped)
            return result.reshape(-1, width)

    with np.errstate(all="ignore"):
        gamma, beta, epsilon = _read_parameters(run, shape, width)
    if kind is NormKind.RMS and np.any(beta):
        raise NoMatchError(f"{name!r} is an RMSNorm with an offset behind it")
    _verify(run, shape, gamma, beta, epsilon, name, kind)
    return NormMatch(x, y, gamma, beta, epsilon, kind, ops)


def _is_in_type(view: GraphView, op: int) -> bool:
    """Whether an operator's integer result is clipped to the same ends by its type alone.

    ReLU into int8 of zero point -128, as converters choose it: what is below 0 is -128 either way.
    """
    y = view.tensor(view.op(op).outputs[0])
    if (
        y.dtype not in (np.int8, np.int16)
        or y.quantization is None
        or len(y.quantization.scale) != 1
    ):
        return False
    info = np.iinfo(y.dtype)
    ends = (np.array([info.min, info.max], np.float64) - y.zero_point) * y.scale
    moved = np.abs(apply_activation(view.op(op), ends) - ends)
    return bool(np.all(moved < y.scale / 2))


def _read_parameters(
    run: _Function, shape: tuple[int, ...], width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """gamma, beta and epsilon, from tokens without spread, with large and with small spread."""
    unit = np.where(np.arange(width) % 2 == 0, 1.0, -1.0)
    if width % 2:
        unit[-1] = 0.0
    unit /= np.sqrt(np.mean(unit**2))
    beta = run(np.zeros(shape))[0]
    if not np.all(np.isfinite(beta)):  # BERT's epsilon of 1e-12, which int8 holds as 0
        probe = np.broadcast_to(unit * _LARGE, shape)
        beta = (run(probe.copy())[0] + run(-probe)[0]) / 2
    large = run(np.broadcast_to(unit * _LARGE, shape).copy())[0] - beta
    small = run(np.broadcast_to(unit * _SMALL, shape).copy())[0] - beta
    strongest = int(np.argmax(np.abs(large)))
    if not np.all(np.isfinite(large)) or small[strongest] == 0.0 or large[strongest] == 0.0:
        raise NoMatchError("not a LayerNorm: its result is not finite or does not depend on x")
    ratio = float(large[strongest] / small[strongest])
    epsilon = max(0.0, _SMALL**2 * (ratio**2 - 1.0))
    with np.errstate(all="ignore"):
        gamma = large / unit * np.sqrt(1.0 + epsilon / _LARGE**2)
    if width % 2:  # the middle value of the probe is 0; shift the pattern by one to see the last
        rolled = np.roll(unit, 1)
        last = run(np.broadcast_to(rolled * _LARGE, shape).copy())[0] - beta
        gamma[-1] = last[-1] / rolled[-1] * np.sqrt(1.0 + epsilon / _LARGE**2)
    return gamma, beta, epsilon


@dataclasses.dataclass(frozen=True, eq=False)
class _Probe:
    """Random values x [shape], x - mean(x) (x for an RMSNorm) and its variance [..., 1]."""

    x: NDArray[np.float64]
    centred: NDArray[np.float64]
    variance: NDArray[np.float64]


@functools.lru_cache(maxsize=1)
def _probes(shape: tuple[int, ...], kind: NormKind) -> tuple[_Probe, ...]:
    """The same for every norm of that shape, and a network's mostly have one."""
    rng = np.random.default_rng(0)
    found = []
    for probe in range(_PROBES):
        x = rng.normal(size=shape) * rng.uniform(0.01, 4.0, (*shape[:-1], 1))
        x += rng.normal(size=(*shape[:-1], 1)) * probe
        centred = x - x.mean(axis=-1, keepdims=True) if kind is NormKind.LAYER else x
        x.flags.writeable = False
        found.append(_Probe(x, centred, (centred**2).mean(axis=-1, keepdims=True)))
    return tuple(found)


def _verify(
    run: _Function,
    shape: tuple[int, ...],
    gamma: NDArray[np.float64],
    beta: NDArray[np.float64],
    epsilon: float,
    name: str,
    kind: NormKind,
) -> None:
    """Raises NoMatchError unless the function is that norm on random values."""
    for probe in _probes(shape, kind):
        normed = probe.centred / np.sqrt(probe.variance + epsilon)
        expected = normed.reshape(-1, shape[-1]) * gamma + beta
        error = np.max(np.abs(run(probe.x) - expected))
        if not error <= _TOLERANCE * max(1.0, float(np.max(np.abs(expected)))):
            raise NoMatchError(
                f"{name!r} is not a {NAMES[kind]}: differs by {error:.3g} on probe values"
            )
