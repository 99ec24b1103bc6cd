# SPDX-License-Identifier: Apache-2.0
"""How far the fused and the plain file are from the float network, on the same random inputs.

Float means the plain graph with dequantized weights and no rounding, as the gate of `fuse` has it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_record import fused
from converter.fuse.gate import Feeds, PlainGraph, one_blas_thread
from converter.fuse.gate.plain import is_quantized, rounding, to_integers, to_real
from converter.runtimes import open_runtime
from converter.tflite import GraphView, Tensor, parse

Array = NDArray[Any]
_FIRST = 1000  # inputs before it are those that the gate judged by
_RESAMPLED = 1000
_ENDS = (2.5, 97.5)


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """One output of one network.

    Attributes:
      plain_db, fused_db: signal to noise against the float result.
      gain_db: fused over plain, from the same inputs.
      interval_db: of the gain, 95 %, over inputs and elements.
      moves_steps: how much the float output changes from input to input, in steps of its type; far
        below 1 all inputs give the same few numbers, and their errors are one draw.
    """

    elements: int
    plain_db: float
    fused_db: float
    gain_db: float
    interval_db: tuple[float, float]
    moves_steps: float


def measure(content: bytes, count: int, seed: int = 0) -> tuple[Fidelity, ...]:
    """Each output over `count` random inputs that `fuse` did not judge by.

    Raises:
      NoMatchError: an operator of the plain graph cannot be evaluated.
      RuntimeUnavailableError: the host library does not have the fused file's operators.
    """
    view = GraphView(parse(content).graph)
    plain, feeds = PlainGraph(view), Feeds(view)
    host = open_runtime("host", fused(content, 8))
    operators = range(len(view.graph.operators))
    tensors = [view.tensor(t) for t in view.graph.outputs]
    results: list[list[tuple[Array, ...]]] = [[] for _ in tensors]
    with one_blas_thread():
        for number in range(count):
            values = feeds.values(_FIRST + seed * count + number)
            exact, rounded = dict(values), dict(values)
            plain.run(operators, exact)
            plain.run(operators, rounded, rounding)
            given = [_integers(view.tensor(t), values[t]) for t in view.graph.inputs]
            shaped = (x.reshape(i.shape) for x, i in zip(given, host.inputs, strict=True))
            for place, y in enumerate(host.run(*shaped)):
                t = view.graph.outputs[place]
                real = (exact[t], rounded[t], _real(tensors[place], np.asarray(y)))
                results[place].append(tuple(np.ravel(v).astype(np.float64) for v in real))
    return tuple(_fidelity(t, r, seed) for t, r in zip(tensors, results, strict=True))


def _integers(tensor: Tensor, real: Array) -> Array:
    return to_integers(tensor, real) if is_quantized(tensor) else real


def _real(tensor: Tensor, y: Array) -> Array:
    return to_real(tensor, y) if is_quantized(tensor) else y


def _fidelity(tensor: Tensor, results: list[tuple[Array, ...]], seed: int) -> Fidelity:
    exact, plain, fused_ = (np.stack(part) for part in zip(*results, strict=True))
    p, f = ((values - exact) ** 2 for values in (plain, fused_))
    signal = float(np.sum(exact**2))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(_RESAMPLED):
        inputs, elements = (np.bincount(rng.integers(0, n, n), minlength=n) for n in p.shape)
        drawn.append(_db(*(float(inputs @ errors @ elements) for errors in (p, f))))
    low, high = (round(float(end), 2) for end in np.percentile(drawn, _ENDS))
    step = tensor.scale if is_quantized(tensor) else float(np.std(exact)) or 1.0
    return Fidelity(
        elements=exact.shape[1],
        plain_db=round(_db(signal, float(p.sum())), 2),
        fused_db=round(_db(signal, float(f.sum())), 2),
        gain_db=round(_db(float(p.sum()), float(f.sum())), 2),
        interval_db=(low, high),
        moves_steps=round(float(exact.std(axis=0).mean()) / step, 3),
    )


def _db(a: float, b: float) -> float:
    return 10.0 * float(np.log10(max(a, 1e-300) / max(b, 1e-300)))
