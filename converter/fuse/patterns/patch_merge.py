# SPDX-License-Identifier: Apache-2.0
"""Patch merging: LayerNorm of neighbouring tokens side by side, and a linear layer.

However the neighbours come together (reshapes and a transpose; strided slices and a concatenation,
as Swin has it), they are traced back by element numbers. In whatever order a patch's features
stand, gamma, beta and weights are put into the operator's.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import same_order, trace_joined
from converter.fuse.patterns.layer_norm_op import find_norm
from converter.fuse.patterns.linear import DenseLayer, match_dense, require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.patterns.norm import NormMatch
from converter.fuse.patterns.patches import Geometry, ImagePixels, cut_out_geometry
from converter.fuse.region import check_closed
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class PatchMergeMatch(OneInput):
    """Patch merging.

    Attributes:
      x: tokens of a grid, or a map; y: merged tokens.
      geometry: square patches of ``patch_height`` tokens a side, without gaps.
      norm, layer: gamma, beta and columns of weights in the order of the operator's features.
    """

    READS_STREAM: ClassVar[bool] = True
    WRITES_STREAM: ClassVar[bool] = True

    x: int
    y: int
    geometry: Geometry
    norm: NormMatch
    layer: DenseLayer
    ops: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """The norm's result is int8 in the fused operator too."""
        return (self.norm.y,)


def match_patch_merge(view: GraphView, anchor: int) -> PatchMergeMatch:
    """The patch merging around the square root of its norm.

    Raises:
      NoMatchError: with the reason.
    """
    norm = find_norm(view, anchor)
    layer, behind = _layer_of(view, norm)
    trace = trace_joined(view, norm.x)
    if not trace.ops:
        raise NoMatchError("the norm reads tokens as they are")
    for tensor, what in ((trace.base, "input"), (norm.y, "LayerNorm output")):
        require_int8(view, tensor, f"patch merging's {what}")
    require_int8(view, layer.output, "patch merging's output")
    width = view.tensor(trace.base).shape[-1]
    index = trace.index.reshape(-1, layer.weights.shape[1])
    what = f"the norm before {view.label(layer.op)}"
    image = _grid(index, width, view.tensor(trace.base).size, what)
    geometry, order = cut_out_geometry(ImagePixels.of_rows(index, image), what)
    side = geometry.patch_height
    if (side, side) != (geometry.stride_y, geometry.stride_x) or side != geometry.patch_width:
        raise NoMatchError(f"{what} reads patches that overlap or leave tokens out")
    if (geometry.grid_height * side, geometry.grid_width * side) != image[:2]:
        raise NoMatchError(f"{what} leaves tokens of the grid out")
    ops = tuple(sorted({*trace.ops, *norm.ops, *behind, layer.op}))
    check_closed(view, ops, {layer.output})
    return PatchMergeMatch(
        trace.base,
        layer.output,
        geometry,
        dataclasses.replace(norm, gamma=norm.gamma[order], beta=norm.beta[order]),
        layer.columns(order),
        ops,
    )


def _layer_of(view: GraphView, norm: NormMatch) -> tuple[DenseLayer, tuple[int, ...]]:
    """The only reader of the norm's result, and the reshapes before it."""
    tensor, passed = norm.y, list[int]()
    while True:
        readers = view.consumers(tensor)
        if len(readers) != 1 or tensor in view.graph.outputs:
            raise NoMatchError("the norm's result is read by several")
        operator = view.op(readers[0])
        if operator.opcode == "FULLY_CONNECTED":
            break
        if len(operator.outputs) != 1 or not same_order(view, operator.outputs[0]).ops:
            raise NoMatchError(f"behind the norm is {view.label(readers[0])}, no linear layer")
        passed.append(readers[0])
        tensor = operator.outputs[0]
    layer = match_dense(view, readers[0])
    if layer.activation != "NONE" or layer.weights.shape[1] != len(norm.gamma):
        raise NoMatchError(f"{view.label(layer.op)} is no linear layer on the norm's features")
    return layer, tuple(passed)


def _grid(index: NDArray[np.int64], width: int, size: int, what: str) -> tuple[int, int, int]:
    """(rows, columns, channels) of the grid whose tokens the first patch's two rows tell apart."""
    tokens = np.unique(index[0] // width)
    side = math.isqrt(len(tokens))
    if side < 2 or side * side != len(tokens):
        raise NoMatchError(f"{what} reads no squares of neighbouring tokens")
    columns = int(tokens[side] - tokens[0])
    if size // width % columns:
        raise NoMatchError(f"{what} reads no grid of tokens")
    return size // width // columns, columns, width
