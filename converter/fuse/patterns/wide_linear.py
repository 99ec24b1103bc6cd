# SPDX-License-Identifier: Apache-2.0
"""A linear layer whose result is int16: a patch embedding of patches of one element.

VitLinear writes int8. A row of features is a pixel, so that VitPatchEmbed computes the same sums
and stores them in 16 bits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar

from converter.fuse.arithmetic import Range, layer_params
from converter.fuse.patterns.linear import LinearMatch
from converter.fuse.patterns.match import Match
from converter.tflite import GraphView
from tflm_custom_ops.ops import Params, PatchEmbed

_RANK = 3  # rows and columns of pixels, and features


def wide_layer(view: GraphView, match: Match) -> WideLinearMatch | None:
    """The same operators with an int16 result; None for what is no layer that can have one."""
    if not isinstance(match, LinearMatch) or not _can_be_wide(view, match):
        return None
    height, width = view.tensor(match.x).shape[-3:-1]
    return WideLinearMatch(match.x, match.y, match.rows, match.projection, match.ops, height, width)


def _can_be_wide(view: GraphView, match: LinearMatch) -> bool:
    """Whether a layer reads what can be taken for one image, and clips nothing."""
    shape = view.tensor(match.x).shape
    layer = match.projection.last
    one = len(match.projection.layers) == 1 and layer.activation == "NONE"
    whole = len(shape) >= _RANK and view.tensor(match.x).size == _pixels(shape) * shape[-1]
    return one and whole and shape[-1] == layer.weights.shape[1]


def _pixels(shape: tuple[int, ...]) -> int:
    return shape[-3] * shape[-2]


@dataclasses.dataclass(frozen=True, eq=False)
class WideLinearMatch(LinearMatch):
    """A layer whose result is a stream.

    Attributes:
      height, width: of the image that its rows are.
    """

    WRITES_STREAM: ClassVar[bool] = True

    height: int
    width: int

    def lower(self, type_of: Callable[[int], Range]) -> Params:
        """A patch embedding of its parameters."""
        x, y, layer = type_of(self.x), type_of(self.y), self.projection.last
        factors = x.scale * layer.weight_scale / y.scale
        return PatchEmbed(
            image_height=self.height,
            image_width=self.width,
            channels=layer.weights.shape[1],
            patch_height=1,
            patch_width=1,
            stride_y=1,
            stride_x=1,
            pad_top=0,
            pad_left=0,
            grid_height=self.height,
            grid_width=self.width,
            embed_dim=layer.weights.shape[0],
            input_zero_point=x.zero_point,
            output_bits=y.bits,
            cls=None,
            pos=None,
            pos_zero_point=0,
            pos_multiplier=0,
            pos_shift=0,
            linear=layer_params(layer.weights, layer.bias, factors, x, y, "linear layer"),
        )
