# SPDX-License-Identifier: Apache-2.0
"""Probe inputs: images given, else numbers that look like what the ranges were learnt from."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from converter.fuse.gate.plain import is_quantized, rounding, to_real
from converter.fuse.op_semantics import Array
from converter.tflite import Graph, GraphView, Tensor

MAX_PROBES = 24
_WORK = 3e8  # multiply-accumulates of a pass over which one probe must do
_SEED = 20261129
_LARGEST = float(np.finfo(np.float32).max)  # a step of 1e38 has larger ends

_IMAGE_SIDE = 8  # from here on a tensor [1, height, width, channels] is taken for an image
_PATCH = 4  # pixels of a probe image's coarse pattern, at the least
_SPREAD = 0.3  # standard deviation of a probe over half the tensor's range


def probe(tensor: Tensor, rng: np.random.Generator) -> Array:
    """Real values for a quantized tensor (on its grid), or a float one, float32."""
    if not is_quantized(tensor):
        return _pattern(tensor.shape, rng).astype(np.float32)
    info = np.iinfo(tensor.dtype)
    low, high = ((end - tensor.zero_point) * tensor.scale for end in (info.min, info.max))
    # Around zero where the range has both signs: activations do not fill their range evenly.
    middle = 0.0 if low < 0.0 < high else (low + high) / 2
    real = middle + _SPREAD * max(high - middle, middle - low) * _pattern(tensor.shape, rng)
    return rounding(-1, tensor, np.clip(real, -_LARGEST, _LARGEST).astype(np.float32))


def _pattern(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise of deviation 1; for an image mostly coarse, as photographs are."""
    fine = rng.normal(0.0, 1.0, shape)
    if len(shape) != 4 or min(shape[1:3]) < _IMAGE_SIDE:
        return fine
    side = max(_PATCH, min(shape[1:3]) // 8)
    coarse = rng.normal(0.0, 1.0, (1, *(-(-n // side) for n in shape[1:3]), shape[3]))
    blown_up = np.repeat(np.repeat(coarse, side, axis=1), side, axis=2)
    return np.asarray(0.8 * blown_up[:, : shape[1], : shape[2]] + 0.6 * fine)


def input_probe(view: GraphView, tensor: int, rng: np.random.Generator) -> Array:
    """A value for an input of the graph."""
    t = view.tensor(tensor)
    rows = _rows(view, tensor)
    if rows is not None:
        chosen = rng.integers(0, min(rows, _numbers(t)), t.shape)
        return chosen.astype(np.float32 if is_quantized(t) else t.dtype)
    if t.dtype.kind in "iu" and t.quantization is None:
        return rng.integers(0, 2, t.shape).astype(t.dtype)
    if t.dtype.kind == "b":
        return rng.integers(0, 2, t.shape).astype(bool)
    readers = view.consumers(tensor)
    if not is_quantized(t) and readers and view.op(readers[0]).opcode == "QUANTIZE":
        return probe(view.tensor(view.op(readers[0]).outputs[0]), rng).reshape(t.shape)
    return probe(t, rng)


def _rows(view: GraphView, tensor: int) -> int | None:
    """Rows of the table that an input chooses from; None where it chooses from none.

    Bytes with a step of 1 and floats that are cast choose as integers do.
    """
    pending, seen = [tensor], set[int]()
    while pending:
        at = pending.pop(0)
        if at in seen or not _counts(view.tensor(at)):
            continue
        seen.add(at)
        for op in view.consumers(at):
            operator = view.op(op)
            if operator.opcode == "GATHER" and operator.inputs[1] == at:
                return max(1, view.tensor(operator.inputs[0]).shape[int(operator.options.axis)])
            if view.tensor(at).dtype.kind != "f" or operator.opcode in _KEEP_NUMBERS:
                pending += operator.outputs
    return None


def _numbers(t: Tensor) -> int:
    """How many numbers from 0 on a tensor's type holds; a table may have more rows."""
    if t.dtype.kind not in "iu":
        return int(np.iinfo(np.int32).max)
    zero_point = t.zero_point if is_quantized(t) else 0
    return max(1, int(np.iinfo(t.dtype).max) - zero_point + 1)


# Through what a number in float is followed: others compute with it.
_KEEP_NUMBERS = ("CAST", "QUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE")


def _counts(t: Tensor) -> bool:
    """Whether a tensor may hold numbers of things: no scale, or one of 1."""
    return t.quantization is None or (is_quantized(t) and t.scale == 1.0)


def _work(graph: Graph) -> float:
    """Multiply-accumulates of one pass, roughly: rows times weights of every layer."""
    total = 1.0
    for op in graph.operators:
        if op.opcode in ("FULLY_CONNECTED", "CONV_2D"):
            w, y = graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
            total += w.size * y.size / max(1, w.shape[0] if w.shape else 1)
        elif op.opcode == "BATCH_MATMUL":
            x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
            total += y.size * (x.shape[-1] if x.shape else 1)
        else:
            total += 10.0 * sum(graph.tensors[t].size for t in op.outputs)
    return total


class Feeds:
    """The inputs that a network is checked on, by number.

    Args:
      view: the plain graph.
      given: values of the graph's inputs for each probe; None makes them from the ranges.

    Attributes:
      count: how many there are; fewer for a network that takes long.

    Raises:
      ValueError: given values that are not of the inputs' types and sizes.
    """

    def __init__(self, view: GraphView, given: Sequence[Sequence[Array]] | None = None) -> None:
        self._view = view
        self._given = None if given is None else [self._real(values) for values in given]
        self.count = max(1, min(MAX_PROBES, int(_WORK / _work(view.graph))))
        if self._given is not None:
            if not self._given:
                raise ValueError("probes: got none, expected at least one")
            self.count = min(self.count, len(self._given))

    @property
    def given(self) -> Sequence[dict[int, Array]]:
        """Real values of the graph's inputs, by tensor, of all probes that were given."""
        return () if self._given is None else self._given

    def values(self, number: int) -> dict[int, Array]:
        """Real values of the graph's inputs, by tensor."""
        if self._given is not None:
            return dict(self._given[number])
        rng = self.generator(number, "inputs")
        return {t: input_probe(self._view, t, rng) for t in self._view.graph.inputs}

    def generator(self, number: int, what: str) -> np.random.Generator:
        """Random numbers that are the same for the same probe and purpose."""
        return np.random.default_rng([_SEED, number, zlib.crc32(what.encode())])

    def _real(self, values: Sequence[Array]) -> dict[int, Array]:
        inputs = self._view.graph.inputs
        if len(values) != len(inputs):
            raise ValueError(f"probes: got {len(values)} values, expected {len(inputs)}")
        real: dict[int, Array] = {}
        for index, value in zip(inputs, values, strict=True):
            t = self._view.tensor(index)
            array = np.asarray(value)
            if array.dtype != t.dtype or array.size != t.size:
                raise ValueError(
                    f"probes: got {array.dtype} {list(array.shape)} for {t.name!r}, expected "
                    f"{t.dtype} {list(t.shape)}"
                )
            array = array.reshape(t.shape)
            real[index] = to_real(t, array) if is_quantized(t) else array
        return real
