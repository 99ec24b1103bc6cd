# SPDX-License-Identifier: Apache-2.0
"""Parts of float operators that one fused operator replaces: nothing inside needs a scale."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.islands.intervals import RealInterval
from converter.fuse.layout import MAX_CHAIN, step_back
from converter.fuse.op_semantics import VIEWS
from converter.fuse.patterns.attention import SCORE_STEPS, is_attention
from converter.fuse.patterns.layer_norm_op import ANCHORS, find_norm
from converter.fuse.patterns.norm import NormMatch
from converter.tflite import GraphView
from tflm_custom_ops.ops.parts import NormKind

_MAX_OPS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Composite:
    """A part of the graph.

    Attributes:
      inputs: float activations that come in.
      y: its result.
      ops: its operators.
      interval: of the result where it follows from constants alone (a LayerNorm's).
      mean_of: an input of which the result is means times a factor, where it is such (v of
        attention).
      factor: that factor.
      constants: (operator, input) that multiplies by float constants (queries that are learnt).
    """

    inputs: tuple[int, ...]
    y: int
    ops: frozenset[int]
    interval: RealInterval | None = None
    mean_of: int | None = None
    factor: float = 1.0
    constants: tuple[tuple[int, int], ...] = ()


def composites(view: GraphView) -> list[Composite]:
    """The float LayerNorms, RMSNorms and attention cores of a graph."""
    found: list[Composite] = []
    taken: set[int] = set()
    for op, operator in enumerate(view.graph.operators):
        if op in taken or view.tensor(operator.outputs[0]).dtype != np.float32:
            continue
        part = None
        if operator.opcode in ANCHORS:
            part = _norm(view, op)
        elif operator.opcode == "SOFTMAX" and is_attention(view, op):
            part = _attention(view, op)
        if part is not None and not part.ops & taken:
            found.append(part)
            taken |= part.ops
    return found


def _norm(view: GraphView, anchor: int) -> Composite | None:
    for kind in NormKind:
        try:
            norm = find_norm(view, anchor, kind)
        except NoMatchError:
            continue
        return Composite((norm.x,), norm.y, frozenset(norm.ops), _of_norm(view, norm))
    return None


def _of_norm(view: GraphView, norm: NormMatch) -> RealInterval:
    """A token of D numbers with mean 0 and variance 1 has none beyond sqrt(D - 1).

    One with a mean square of 1 has none beyond sqrt(D).
    """
    width = view.tensor(norm.x).shape[-1]
    far = float(np.sqrt(width - 1 if norm.kind is NormKind.LAYER else width))
    reach = np.abs(norm.gamma) * far
    return RealInterval(float(np.min(norm.beta - reach)), float(np.max(norm.beta + reach)))


def _attention(view: GraphView, softmax: int) -> Composite | None:
    """From the operands of the scores' products to the product with v."""
    ops, inputs = _scores(view, softmax)
    product = _product_behind(view, softmax, ops)
    if product is None:
        return None
    read, matmul = product
    values = {i for i in view.op(matmul).inputs if i != read}
    sources = {tensor: _source(view, tensor, ops) for tensor in inputs | values}
    value = sources[values.pop()] if len(values) == 1 else None
    return Composite(
        inputs=tuple(sorted({source.tensor for source in sources.values()})),
        y=view.op(matmul).outputs[0],
        ops=frozenset(ops),
        mean_of=None if value is None else value.tensor,
        factor=1.0 if value is None else value.factor,
        constants=_constants(view, ops),
    )


def _constants(view: GraphView, ops: set[int]) -> tuple[tuple[int, int], ...]:
    """The products' operands that are constants."""
    products = (op for op in sorted(ops) if view.op(op).opcode == "BATCH_MATMUL")
    places = ((op, place) for op in products for place in range(2))
    return tuple((op, k) for op, k in places if view.is_constant(view.op(op).inputs[k]))


def _product_behind(view: GraphView, softmax: int, ops: set[int]) -> tuple[int, int] | None:
    """(operand, BATCH_MATMUL) that the probabilities go to; what is between is added to `ops`."""
    pending, ends = [view.op(softmax).outputs[0]], list[tuple[int, int]]()
    while pending:
        at = pending.pop()
        if at in view.graph.outputs:
            return None
        for reader in view.consumers(at):
            ops.add(reader)
            if view.op(reader).opcode == "BATCH_MATMUL":
                ends.append((at, reader))
            elif view.op(reader).opcode in VIEWS and len(ops) < _MAX_OPS:
                pending += view.op(reader).outputs
            else:
                return None
    return ends[0] if len(ends) == 1 else None


@dataclasses.dataclass(frozen=True)
class _Source:
    """Where an operand comes from: the float tensor that it is `factor` times a view of."""

    tensor: int
    factor: float


def _source(view: GraphView, tensor: int, ops: set[int]) -> _Source:
    """Of an operand; what is between is added to `ops`."""
    factor = 1.0
    for _ in range(MAX_CHAIN):
        step = step_back(view, tensor, scaling=True)
        if step is None or view.op(step[0]).opcode == "DEQUANTIZE":
            break
        ops.add(step[0])
        tensor, factor = step[1], factor * step[2]
    return _Source(tensor, factor)


def _scores(view: GraphView, softmax: int) -> tuple[set[int], set[int]]:
    """(operators, operands of products) from the softmax back to what is multiplied."""
    ops, inputs = {softmax}, set[int]()
    pending = [view.op(softmax).inputs[0]]
    while pending:
        tensor = pending.pop()
        op = view.producer(tensor)
        if op is None or op in ops:
            continue
        operands = [i for i in view.op(op).inputs if i >= 0 and not view.is_constant(i)]
        if view.op(op).opcode == "BATCH_MATMUL":
            inputs |= set(operands)
        elif view.op(op).opcode in SCORE_STEPS and len(ops) < _MAX_OPS:
            pending += operands
        else:
            inputs.add(tensor)
            continue
        ops.add(op)
    return ops, inputs
