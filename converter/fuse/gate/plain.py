# SPDX-License-Identifier: Apache-2.0
"""Runs a plain graph in NumPy: as float with dequantized weights, or brought to its types.

Values are real numbers in float32 in every case; what happens to an operator's result is a `Form`:

* none: the float network.
* `rounding`: the integers of its tensor. That is the int8 graph, but for the last unit where a
  kernel's own arithmetic rounds otherwise (fixed-point multipliers, tables).
* `Limits`: the range of its tensor, without rounding, for some tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.image_semantics import IMAGES
from converter.fuse.index_semantics import COPIED, INDEXED
from converter.fuse.layer_semantics import LAYERS
from converter.fuse.op_semantics import (
    BROADCASTS,
    CONSTANTS,
    INDEX_TYPES,
    JOINS,
    NORMALIZATIONS,
    POINTWISE,
    REDUCTIONS,
    RESHAPES,
    SOFTMAX_PARTS,
    VIEWS,
    Array,
    apply_activation,
)
from converter.tflite import GraphView, Tensor

# Of each operator on real numbers, by its name.
MEANINGS = {
    **LAYERS, **IMAGES, **INDEXED, **VIEWS, **JOINS, **POINTWISE, **BROADCASTS, **CONSTANTS,
    **REDUCTIONS, **NORMALIZATIONS, **SOFTMAX_PARTS,
}  # fmt: skip
# What an operator raises whose operands or options are not those of its kind.
_MALFORMED = (ValueError, IndexError, TypeError, AttributeError, KeyError)


def is_quantized(tensor: Tensor) -> bool:
    """An integer activation with one scale."""
    q = tensor.quantization
    return tensor.dtype.kind in "iu" and q is not None and len(q.scale) == 1 and q.scale[0] > 0


def range_of(tensor: Tensor) -> tuple[float, float]:
    """The least and the greatest real value of a quantized tensor."""
    info = np.iinfo(tensor.dtype)
    low, high = (tensor.scale * (end - tensor.zero_point) for end in (info.min, info.max))
    return low, high


def to_integers(tensor: Tensor, real: Array) -> Array:
    """Real values as integers of the tensor's type; what is no number (0 / 0) as its 0."""
    info = np.iinfo(tensor.dtype)
    q = np.rint(np.nan_to_num(real, posinf=np.inf, neginf=-np.inf) / np.float32(tensor.scale))
    q += tensor.zero_point
    return np.asarray(np.clip(q, info.min, info.max).astype(tensor.dtype))


def to_real(tensor: Tensor, q: Array) -> Array:
    """Integers of the tensor's type as real values, float32."""
    values = q.astype(np.float32) - np.float32(tensor.zero_point)
    return np.asarray(values * np.float32(tensor.scale))


Form = Callable[[int, Tensor, Array], Array]  # of (tensor's index, tensor, real values)


def rounding(index: int, tensor: Tensor, real: Array) -> Array:
    """The real values that the tensor can hold, where it is quantized."""
    del index
    if not is_quantized(tensor):
        return real
    info, scale = np.iinfo(tensor.dtype), np.float32(tensor.scale)
    q = np.asarray(real / scale)
    np.rint(q, out=q)
    np.clip(q, info.min - tensor.zero_point, info.max - tensor.zero_point, out=q)
    q *= scale
    return q


class Limits:
    """Clips some tensors to a range; gives one that is inside as it is."""

    def __init__(self, ranges: Mapping[int, tuple[float, float]]) -> None:
        self._ranges = ranges

    def __call__(self, index: int, tensor: Tensor, real: Array) -> Array:
        if index not in self._ranges:
            return real
        low, high = self._ranges[index]
        if real.size and (float(real.min()) < low or float(real.max()) > high):
            return np.clip(real, np.float32(low), np.float32(high))
        return real


class PlainGraph:
    """A plain graph that is run again and again; constants are dequantized once.

    Args:
      first: another graph whose tensors this one begins with; constants are shared with it.
    """

    def __init__(self, view: GraphView, first: PlainGraph | None = None) -> None:
        self.view = view
        self._first = first
        self._constants: dict[int, Array] = {}

    def can_run(self, op: int) -> bool:
        """Whether the operator has a meaning here."""
        return self.view.op(op).opcode in MEANINGS

    def run(self, ops: Sequence[int], values: dict[int, Array], form: Form | None = None) -> None:
        """Runs operators in order; their results, in that form, are added to `values`.

        Raises:
          NoMatchError: an operator has no meaning here, or not with its operands.
        """
        for op in ops:
            self._run(op, values, form)

    def run_again(
        self, ops: Sequence[int], before: Mapping[int, Array], form: Form
    ) -> dict[int, Array]:
        """What `run` in that form gives, with the values that it gave in none.

        Only what depends on a tensor that the form changed is computed again.
        """
        values, changed = dict(before), set[int]()
        for index in ops:
            op = self.view.op(index)
            if changed.isdisjoint(op.inputs):
                for tensor in op.outputs:
                    values[tensor] = form(tensor, self.view.tensor(tensor), before[tensor])
                changed |= {t for t in op.outputs if values[t] is not before[t]}
            else:
                self._run(index, values, form)
                changed.update(op.outputs)
        return values

    def results(
        self, wanted: Sequence[int], given: Mapping[int, Array], form: Form | None = None
    ) -> dict[int, Array]:
        """Runs the whole graph; of its tensors only those asked for are kept.

        All of a network's activations at a time would be most of what fusing takes of memory.

        Raises:
          NoMatchError: as `run`.
        """
        values, kept = dict(given), frozenset(wanted)
        for index, op in enumerate(self.view.graph.operators):
            self._run(index, values, form)
            for tensor in {*op.inputs, *op.outputs}:
                if self._last_use.get(tensor, index) <= index and tensor not in kept:
                    values.pop(tensor, None)
        return {tensor: values[tensor] for tensor in wanted}

    @functools.cached_property
    def _last_use(self) -> dict[int, int]:
        """The last operator that reads each tensor."""
        operators = enumerate(self.view.graph.operators)
        return {tensor: index for index, op in operators for tensor in op.inputs}

    def _run(self, index: int, values: dict[int, Array], form: Form | None) -> None:
        op = self.view.op(index)
        if op.opcode not in MEANINGS:
            raise NoMatchError(f"{self.view.label(index)} is not evaluated")
        try:
            args = [self.value(values, i) for i in op.inputs if i >= 0]
            for place in COPIED.get(op.opcode, ()):
                args[place] = self._copied(op.inputs[place], op.outputs[0], args[place])
            with np.errstate(all="ignore"):
                results = [args[0]] if op.opcode in RESHAPES else MEANINGS[op.opcode](op, args)
                for tensor, result in zip(op.outputs, results, strict=True):
                    t = self.view.tensor(tensor)
                    y = apply_activation(op, np.asarray(result)).reshape(t.shape)
                    if y.dtype == np.float64:
                        y = y.astype(np.float32)
                    values[tensor] = y if form is None else form(tensor, t, y)
        except _MALFORMED as error:
            raise NoMatchError(f"{self.view.label(index)} cannot be evaluated: {error}") from error

    def _copied(self, source: int, target: int, real: Array) -> Array:
        """What the integers of one tensor are as those of another."""
        x, y = self.view.tensor(source), self.view.tensor(target)
        if not (is_quantized(x) and is_quantized(y)):
            return real
        return to_real(y, to_integers(x, real))

    def ops_between(self, inputs: tuple[int, ...], y: int) -> tuple[int, ...]:
        """The operators that compute tensor y from these tensors, in execution order."""
        found: set[int] = set()
        pending = [y]
        while pending:
            tensor = pending.pop()
            op = None if tensor in inputs else self.view.producer(tensor)
            if op is None or op in found:
                continue
            found.add(op)
            pending += [i for i in self.view.op(op).inputs if i >= 0]
        return tuple(sorted(found))

    def value(self, values: dict[int, Array], tensor: int) -> Array:
        """A tensor's real values, a constant's too."""
        return values[tensor] if tensor in values else self.constant(tensor)

    def constant(self, tensor: int) -> Array:
        """A constant's real values (or its integers where it counts elements)."""
        if self._first is not None and tensor < len(self._first.view.graph.tensors):
            return self._first.constant(tensor)
        if tensor not in self._constants:
            t = self.view.tensor(tensor)
            if t.data is not None and t.quantization is None:
                self._constants[tensor] = t.data
            elif t.dtype in INDEX_TYPES:
                self._constants[tensor] = t.real().astype(np.float32)
            else:
                self._constants[tensor] = _dequantized(t)
        return self._constants[tensor]


def _dequantized(t: Tensor) -> Array:
    if t.data is None or t.quantization is None:
        raise NoMatchError(f"tensor {t.name!r} has no value")
    scale, zero_point = t.quantization.along(t.data.ndim)
    values = t.data.astype(np.float32)
    if np.any(zero_point):
        values -= np.float32(zero_point)
    return np.asarray(values * scale.astype(np.float32))
