# SPDX-License-Identifier: Apache-2.0
"""ARG_MAX, ARG_MIN and TOPK_V2 of int8 in operators that every runtime has.

max(max(x) - x, position * step), where a step is too small to make up for one unit of x, is least
at the first of the largest elements and is position * step there. TensorFlow Lite takes the first
of equal elements too.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor

_MOST = 128  # positions that int8 holds from 0 on
_MOST_RESULTS = 10  # of a TOPK_V2: nine operators each
_UNITS = 255  # from the least to the largest int8
_INT32 = np.dtype(np.int32)
_WHOLE = Quantization.per_tensor(1.0, 0)


@dataclasses.dataclass(eq=False)
class _Search:
    """Looks for extremes of one tensor along an axis.

    Attributes:
      x: int8, what is left of the operator's input.
      ranks: int8 positions in steps, as `distance` is; of the last one where an element is taken.
      distance: the type of max(x) - x: 0 or, from one unit on, the largest int8.
    """

    b: Builder
    axis: int
    opcode: str
    x: int
    name: str

    def __post_init__(self) -> None:
        source = self.b.get(self.x)
        self.distance = Quantization.per_tensor(source.scale / _UNITS, -128)
        self.count = source.shape[self.axis]
        self.shape = tuple(n if i == self.axis else 1 for i, n in enumerate(source.shape))
        positions = np.arange(self.count).reshape(self.shape)
        self.ranks = self._ranks((positions - 128).astype(np.int8))
        self.positions = self.b.constant(positions.astype(np.int32), f"{self.name}/positions")
        self.axes = self.b.constant(np.array([self.axis], np.int32), "axes")

    def _ranks(self, data: NDArray[np.int8]) -> int:
        return self.b.constant(data, f"{self.name}/ranks", self.distance)

    def _tensor(self, what: str, shape: tuple[int, ...], q: Quantization | None) -> int:
        dtype = _INT32 if q is None else np.dtype(np.int8)
        return self.b.tensor(Tensor(f"{self.name}/{what}", shape, dtype, q))

    def _reduced(self, opcode: str, x: int, what: str, to: int | None = None) -> int:
        t = self.b.get(x)
        shape = (*t.shape[: self.axis], 1, *t.shape[self.axis + 1 :])
        y = self._tensor(what, shape, t.quantization) if to is None else to
        self.b.op(opcode, [x, self.axes], [y], "ReducerOptions", keepDims=True)
        return y

    def first(self, value: int | None = None, place: int | None = None) -> tuple[int, int]:
        """(the extreme, where it stands first as int32), with the axis kept as one element."""
        b, source = self.b, self.b.get(self.x)
        extreme = self._reduced(self.opcode, self.x, "extreme", value)
        far = self._tensor("distance", source.shape, self.distance)
        pair = [extreme, self.x] if self.opcode == "REDUCE_MAX" else [self.x, extreme]
        b.op("SUB", pair, [far], "SubOptions", fusedActivationFunction=0)
        ranked = self._tensor("ranked", source.shape, self.distance)
        b.op("MAXIMUM", [far, self.ranks], [ranked], "MaximumMinimumOptions")
        first = self._reduced("REDUCE_MIN", ranked, "first")
        shape = b.get(first).shape
        per_unit = Quantization.per_tensor(1.0 / (127 * self.distance.scale[0]), 0)
        factor = b.constant(np.array(127, np.int8), f"{self.name}/per_step", per_unit)
        whole = self._tensor("whole", shape, _WHOLE)
        b.op("MUL", [first, factor], [whole], "MulOptions", fusedActivationFunction=0)
        found = self._tensor("place", shape, None) if place is None else place
        b.op("CAST", [whole], [found], "CastOptions")
        return extreme, found

    def take(self, place: int) -> None:
        """Leaves an element out from now on."""
        b, source = self.b, self.b.get(self.x)
        is_it = b.tensor(Tensor(f"{self.name}/taken", source.shape, np.dtype(np.bool_)))
        b.op("EQUAL", [self.positions, place], [is_it], "EqualOptions")
        for what, last in (("x", -128), ("ranks", 127)):
            before = getattr(self, what)
            q = b.get(before).quantization
            other = b.constant(np.array(last, np.int8), f"{self.name}/no_{what}", q)
            after = self._tensor(what, source.shape, q)
            b.op("SELECT_V2", [is_it, other, before], [after], "SelectV2Options")
            setattr(self, what, after)


_EXTREMES = {"ARG_MAX": "REDUCE_MAX", "ARG_MIN": "REDUCE_MIN", "TOPK_V2": "REDUCE_MAX"}


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    source, number = operator.inputs
    x, how = view.tensor(source), view.tensor(number).data
    if how is None or not is_int8(x) or view.tensor(operator.outputs[-1]).dtype != _INT32:
        return None
    is_top = operator.opcode == "TOPK_V2"
    axis = len(x.shape) - 1 if is_top else int(how.reshape(-1)[0]) % len(x.shape)
    if x.shape[axis] > _MOST:
        return None
    b = Builder(view)
    extreme = _EXTREMES[operator.opcode]
    search = _Search(b, axis, extreme, source, view.tensor(operator.outputs[-1]).name)
    if not is_top:
        b.reshape(search.first()[1], view.tensor(operator.outputs[0]).shape, operator.outputs[0])
        return Edit((op,), tuple(b.operators), tuple(b.tensors))
    count = int(how.reshape(-1)[0])
    if not 1 <= count <= min(_MOST_RESULTS, x.shape[axis]):
        return None
    if count == 1:
        search.first(*operator.outputs)
        return Edit((op,), tuple(b.operators), tuple(b.tensors))
    found = [search.first()]
    for _ in range(count - 1):
        search.take(found[-1][1])
        found.append(search.first())
    for parts, result in zip(zip(*found, strict=True), operator.outputs, strict=True):
        b.op("CONCATENATION", parts, [result], "ConcatenationOptions", axis=axis)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "first_extreme",
    "writes ARG_MAX, ARG_MIN and TOPK_V2 with REDUCE_MAX, SUB, MAXIMUM, REDUCE_MIN and CAST",
    frozenset(_EXTREMES),
    _apply,
)
