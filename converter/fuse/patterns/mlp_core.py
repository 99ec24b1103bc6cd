# SPDX-License-Identifier: Apache-2.0
"""fc2(activation(fc1(x))) without a LayerNorm before it, x added or not, anchored at fc2.

Tried where the whole block does not match: in post-norm blocks, and where the
norm's result has other readers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container
from typing import ClassVar

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import follow, same_order, shared_source
from converter.fuse.patterns.linear import ProjectionMatch, match_projection, require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.patterns.mlp import has_hidden_layer, residual_operands
from converter.fuse.patterns.pointwise import PointwiseMatch, match_pointwise, pointwise_source
from converter.fuse.region import check_closed, with_private
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class MlpCoreMatch(OneInput):
    """Two layers with an activation function between them, of int8 tensors.

    Attributes:
      x, y: [tokens, embed_dim] (leading ones allowed).
      added: whether y is x plus the result of fc2.
    """

    READS_STREAM: ClassVar[bool] = False
    WRITES_STREAM: ClassVar[bool] = False

    x: int
    y: int
    tokens: int
    embed_dim: int
    hidden_dim: int
    added: bool
    fc1: ProjectionMatch
    activation: PointwiseMatch
    fc2: ProjectionMatch
    ops: tuple[int, ...]

    @property
    def ends_in_sum(self) -> bool:
        """As a match says it."""
        return self.added

    @property
    def kept(self) -> tuple[int, ...]:
        """Tensors inside that the fused operator has in the same type; fc2's result is none."""
        return (*self.fc1.tensors[1:], self.fc1.last.output, *self.fc2.tensors)


def looks_like_mlp_core(view: GraphView, fc2: int) -> bool:
    """Whether a FULLY_CONNECTED ends an MLP whose result is as wide as what it reads."""
    operator = view.op(fc2)
    if operator.opcode != "FULLY_CONNECTED" or not has_hidden_layer(view, operator.outputs[0]):
        return False
    layer = match_projection(view, operator.outputs[0], "")
    first = match_projection(view, pointwise_source(view, layer.input, ""), "")
    return bool(layer.last.weights.shape[0] == first.first.weights.shape[1])


def match_mlp_core(view: GraphView, op: int, taken: Container[int]) -> MlpCoreMatch:
    """The MLP that ends at the FULLY_CONNECTED `op`, and the residual ADD behind it if it adds x.

    Args:
      taken: operators that belong to other matches.

    Raises:
      NoMatchError: with the reason.
    """
    result = view.op(op).outputs[0]
    fc2 = match_projection(view, result, "fc2")
    hidden = pointwise_source(view, fc2.input, "input of fc2")
    activation = match_pointwise(view, hidden, fc2.input)
    fc1 = match_projection(view, hidden, "input of the activation function")
    inner = {*fc2.ops, *activation.ops, *(layer.op for layer in fc1.layers)}
    inner |= {o for o in fc1.ops if len(fc1.layers) > 1 and fc1.first.op < o}  # between both layers
    x = fc1.first.input
    check_closed(view, inner, {result})
    added = _residual(view, result, x, taken) if fc2.last.activation == "NONE" else None
    y = result
    if added is not None:
        x, y = added.x, view.op(added.ops[-1]).outputs[0]
        inner = with_private(view, inner | set(added.ops), added.reshapes)
    embed_dim = fc1.first.weights.shape[1]
    for tensor, what in ((x, "input"), (y, "output")):
        if require_int8(view, tensor, f"the MLP's {what}").shape[-1] != embed_dim:
            raise NoMatchError(f"the MLP's {what} is not [tokens, {embed_dim}]")
    return MlpCoreMatch(
        x=x,
        y=y,
        tokens=view.tensor(x).size // embed_dim,
        embed_dim=embed_dim,
        hidden_dim=fc1.last.weights.shape[0],
        added=added is not None,
        fc1=fc1,
        activation=activation,
        fc2=fc2,
        ops=tuple(sorted(inner)),
    )


@dataclasses.dataclass(frozen=True)
class _Added:
    """The residual of an MLP.

    Attributes:
      x: what is added and, reshaped or not, what fc1 reads.
      ops: from fc2's result to the ADD, that one last.
      reshapes: from x to fc1, the last first.
    """

    x: int
    ops: tuple[int, ...]
    reshapes: tuple[int, ...]


def _residual(view: GraphView, result: int, x: int, taken: Container[int]) -> _Added | None:
    """The ADD behind fc2's result of what fc1 reads as `x`; None if there is none."""
    try:
        end, passed, add = follow(view, result, "fc2")
        if view.op(add).opcode != "ADD" or add in taken or same_order(view, end).base != result:
            return None
        a, b = residual_operands(view, add)
        require_int8(view, view.op(add).outputs[0], "the MLP's output")
    except NoMatchError:
        return None
    source = shared_source(view, x, a if end == b else b)
    return None if source is None else _Added(source[0], (*passed, add), source[1])
