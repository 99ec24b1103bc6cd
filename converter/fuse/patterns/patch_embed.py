# SPDX-License-Identifier: Apache-2.0
"""Patch embedding: CONV_2D, reshape, class token and positions in any order.

Instead of the convolution there may be a FULLY_CONNECTED on patches that reshapes and transposes
cut out (`converter.fuse.patterns.patches`). The chain behind it is affine in its result; run on
zeros it gives positions and class token as they arrive in each token, run on numbers it must put
patch t's features into row t.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.op_semantics import JOINS, POINTWISE, VIEWS, evaluate, fused_activation
from converter.fuse.patterns.linear import DenseLayer, require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.patterns.patches import Geometry, match_patches
from converter.fuse.patterns.scaled_pixels import with_scaling
from converter.fuse.region import check_closed
from converter.tflite import GraphView

_CHAIN = frozenset({*VIEWS, *JOINS, "ADD", "SUB", "QUANTIZE"}) & frozenset(
    {*VIEWS, *JOINS, *POINTWISE}
)
_MAX_CHAIN = 8


@dataclasses.dataclass(frozen=True, eq=False)
class PatchEmbedMatch(OneInput):
    """A patch embedding.

    Attributes:
      x: int8 image; y: int8 tokens.
      layer: weights [embed_dim, patch_height * patch_width * channels]; out_scale is y's.
      cls: float64 [embed_dim], the whole of token 0, or None.
      pos: float64 [patches, embed_dim], or None.
      pos_source: (int8 values, scale, zero point) if the graph holds exactly these positions.
      ops: every operator that the embedding replaces.
    """

    READS_STREAM: ClassVar[bool] = False
    WRITES_STREAM: ClassVar[bool] = True

    x: int
    y: int
    geometry: Geometry
    layer: DenseLayer
    cls: NDArray[np.float64] | None
    pos: NDArray[np.float64] | None
    pos_source: tuple[NDArray[np.int8], float, int] | None
    ops: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """Tensors inside that the fused operator has: positions are added to the accumulator."""
        return ()


def match_patch_embed(view: GraphView, anchor: int, scaled: bool = False) -> PatchEmbedMatch:
    """The patch embedding that starts at a CONV_2D, or a FULLY_CONNECTED on cut-out patches.

    Args:
      scaled: with the constants that scale its image (`converter.fuse.patterns.scaled_pixels`).

    Raises:
      NoMatchError: it is not followed by tokens, or is of a kind that is not fused.
    """
    patches = match_patches(view, anchor)
    if scaled:
        patches = with_scaling(view, patches)
    layer = patches.layer
    chain = _chain(view, layer.output)
    for length in range(len(chain), -1, -1):
        y = view.op(chain[length - 1]).outputs[0] if length else layer.output
        tokens = _match_tokens(view, layer.output, y, chain[:length], patches.geometry)
        if tokens is None:
            continue
        cls, pos = tokens
        target = require_int8(view, y, "the tokens")
        ops = tuple(sorted({*patches.ops, *chain[:length]}))
        check_closed(view, ops, {y})
        return PatchEmbedMatch(
            patches.x,
            y,
            patches.geometry,
            dataclasses.replace(layer, out_scale=target.scale, out_zero_point=target.zero_point),
            cls,
            pos,
            None if pos is None else _stored_positions(view, chain[:length], pos),
            ops,
        )
    raise NoMatchError(f"{view.label(anchor)} is not followed by tokens")


def _chain(view: GraphView, start: int) -> list[int]:
    """The operators behind a tensor, each the only reader of the one before."""
    chain: list[int] = []
    tensor = start
    while len(chain) < _MAX_CHAIN and len(view.consumers(tensor)) == 1:
        op = view.consumers(tensor)[0]
        operator = view.op(op)
        others = [i for i in operator.inputs if i != tensor]
        if (
            operator.opcode not in _CHAIN
            or len(operator.outputs) != 1
            or fused_activation(operator) != "NONE"
            or not all(view.is_constant(i) for i in others)
        ):
            break
        chain.append(op)
        tensor = operator.outputs[0]
    return chain


def _match_tokens(
    view: GraphView, conv: int, y: int, ops: list[int], geometry: Geometry
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] | None:
    """(class token, positions) if `y` is tokens made of the convolution's result, else None."""
    shape = view.tensor(conv).shape
    patches, width = geometry.patches, shape[-1]
    if len(view.tensor(y).shape) == 4 or view.tensor(y).shape[-1] != width:
        return None
    extra = view.tensor(y).size // width - patches
    if extra not in (0, 1):
        return None
    numbers = np.arange(1, patches * width + 1, dtype=np.float64)
    try:
        offset = evaluate(view, ops, {conv: np.zeros(shape)}, y).reshape(-1, width)
        moved = evaluate(view, ops, {conv: numbers.reshape(shape)}, y).reshape(-1, width)
    except NoMatchError:
        return None
    expected = np.concatenate([np.zeros(extra * width), numbers]).reshape(-1, width)
    if not np.allclose(moved - offset, expected, rtol=0, atol=1e-3):
        return None
    cls = offset[0] if extra else None
    pos = offset[extra:]
    return cls, pos if np.any(pos) else None


def _stored_positions(
    view: GraphView, ops: list[int], pos: NDArray[np.float64]
) -> tuple[NDArray[np.int8], float, int] | None:
    """The int8 constant of the graph that holds exactly these positions, if there is one."""
    for op in ops:
        for i in view.op(op).inputs:
            t = view.tensor(i)
            if not t.is_constant or t.dtype != np.int8 or t.quantization is None:
                continue
            if len(t.quantization.scale) != 1 or t.scale <= 0:
                continue
            q = np.rint(pos / t.scale) + t.zero_point
            exact = np.allclose((q - t.zero_point) * t.scale, pos, rtol=0, atol=1e-3 * t.scale)
            if exact and q.min() >= -128 and q.max() <= 127:
                return q.astype(np.int8), t.scale, t.zero_point
    return None
