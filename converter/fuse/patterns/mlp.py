# SPDX-License-Identifier: Apache-2.0
"""MLP block: x + fc2(activation(fc1(LayerNorm(x)))), anchored at the residual ADD."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import same_order
from converter.fuse.op_semantics import fused_activation
from converter.fuse.patterns.linear import ProjectionMatch, match_projection, require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.patterns.norm import NormMatch, match_norm
from converter.fuse.patterns.pointwise import PointwiseMatch, match_pointwise, pointwise_source
from converter.fuse.region import check_closed
from converter.tflite import GraphView
from tflm_custom_ops.ops.parts import NormKind


@dataclasses.dataclass(frozen=True, eq=False)
class MlpMatch(OneInput):
    """An MLP block.

    Attributes:
      x, y: int8 tensors [tokens, embed_dim] (leading ones allowed).
      hidden: tensor before the activation function; its scale is fc1's output scale.
      ops: every operator that the block replaces.
    """

    READS_STREAM: ClassVar[bool] = True
    WRITES_STREAM: ClassVar[bool] = True

    x: int
    y: int
    tokens: int
    embed_dim: int
    hidden_dim: int
    norm: NormMatch
    fc1: ProjectionMatch
    activation: PointwiseMatch
    fc2: ProjectionMatch
    ops: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """Tensors inside that the fused operator has in the same type; fc2's result is none."""
        return (self.norm.y, *self.fc1.tensors, self.fc1.last.output, *self.fc2.tensors)


def residual_operands(view: GraphView, add: int) -> tuple[int, int]:
    """The two activations of a residual ADD.

    Raises:
      NoMatchError: a constant operand, a fused activation, or operands of different sizes.
    """
    operator = view.op(add)
    a, b = operator.inputs
    if view.is_constant(a) or view.is_constant(b):
        raise NoMatchError(f"{view.label(add)} adds a constant, expected a residual")
    if fused_activation(operator) != "NONE":
        raise NoMatchError(f"{view.label(add)} has a fused {fused_activation(operator)}")
    if view.tensor(a).size != view.tensor(b).size:
        raise NoMatchError(f"{view.label(add)} broadcasts, expected operands of one size")
    return a, b


def match_block_norm(view: GraphView, operand: int, h: int) -> NormMatch:
    """The LayerNorm or RMSNorm from a residual operand (or what it is a reshape of) to `h`.

    Raises:
      NoMatchError: there is none, with the reason why it is no LayerNorm.
    """
    base = same_order(view, operand).base
    sources = [operand] if base == operand else [operand, base]
    reason = NoMatchError("")
    for kind in NormKind:
        for source in sources:
            try:
                return match_norm(view, source, h, kind)
            except NoMatchError as error:
                reason = error if kind is NormKind.LAYER else reason
    raise reason


def looks_like_mlp(view: GraphView, add: int) -> bool:
    """Whether one operand of the ADD comes from a linear layer behind an activation function."""
    try:
        operands = residual_operands(view, add)
    except NoMatchError:
        return False
    return any(has_hidden_layer(view, branch) for branch in operands)


def has_hidden_layer(view: GraphView, branch: int) -> bool:
    """Whether a tensor comes from a linear layer behind an activation function behind another."""
    try:
        fc2 = match_projection(view, same_order(view, branch).base, "")
        hidden = pointwise_source(view, fc2.input, "")
        match_projection(view, hidden, "")
        return match_pointwise(view, hidden, fc2.input).nonlinear or _fused(view, hidden)
    except NoMatchError:
        return False


def _fused(view: GraphView, hidden: int) -> bool:
    op = view.producer(hidden)
    return op is not None and fused_activation(view.op(op)) != "NONE"


def match_mlp(view: GraphView, add: int) -> MlpMatch:
    """The MLP block that ends at the residual ADD.

    Raises:
      NoMatchError: with the reason of the operand order that came further.
    """
    a, b = residual_operands(view, add)
    if has_hidden_layer(view, b):
        return match_branch(view, add, a, b)
    return match_branch(view, add, b, a)


def match_branch(view: GraphView, add: int, operand: int, branch: int) -> MlpMatch:
    """The same for operands whose parts are known: x and what is added to it."""
    tail = same_order(view, branch)
    fc2 = match_projection(view, tail.base, "the residual's branch")
    hidden = pointwise_source(view, fc2.input, "input of fc2")
    activation = match_pointwise(view, hidden, fc2.input)
    fc1 = match_projection(view, hidden, "input of the activation function")
    norm = match_block_norm(view, operand, fc1.input)
    if fc2.last.activation != "NONE":
        raise NoMatchError(f"{view.label(fc2.last.op)} has a fused {fc2.last.activation}")
    y = view.op(add).outputs[0]
    for tensor, what in ((norm.x, "input"), (norm.y, "LayerNorm output"), (y, "output")):
        require_int8(view, tensor, f"the block's {what}")
    embed_dim = fc1.first.weights.shape[1]
    if fc2.last.weights.shape[0] != embed_dim or view.tensor(norm.x).shape[-1] != embed_dim:
        raise NoMatchError("the block's input and output widths differ")
    ops = tuple(sorted({add, *tail.ops, *fc2.ops, *activation.ops, *fc1.ops, *norm.ops}))
    check_closed(view, ops, {y})
    return MlpMatch(
        x=norm.x,
        y=y,
        tokens=view.tensor(norm.x).size // embed_dim,
        embed_dim=embed_dim,
        hidden_dim=fc1.last.weights.shape[0],
        norm=norm,
        fc1=fc1,
        activation=activation,
        fc2=fc2,
        ops=ops,
    )
