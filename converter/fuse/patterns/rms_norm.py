# SPDX-License-Identifier: Apache-2.0
"""RMSNorm as Keras writes it (MUL, MEAN, ADD, RSQRT, MUL): anchored at a square root.

Recognised as LayerNorm is, by what the operators compute on probe values, with
x / sqrt(mean(x**2) + epsilon) * gamma as the function (Zhang and Sennrich 2019).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from converter.fuse.arithmetic import norm_params
from converter.fuse.lower import TensorRange
from converter.fuse.patterns.layer_norm_op import find_norm
from converter.fuse.patterns.linear import require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.patterns.norm import NormMatch
from converter.fuse.region import check_closed
from converter.tflite import GraphView
from tflm_custom_ops.ops.parts import NormKind
from tflm_custom_ops.ops.rms_norm.params import RmsNorm


@dataclasses.dataclass(frozen=True, eq=False)
class RmsNormMatch(OneInput):
    """RMSNorm of every token of x."""

    READS_STREAM: ClassVar[bool] = True
    WRITES_STREAM: ClassVar[bool] = False

    x: int
    y: int
    tokens: int
    norm: NormMatch
    ops: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """Nothing lies between x and y."""
        return ()

    def lower(self, type_of: TensorRange) -> RmsNorm:
        """The operator; raises BoundError where an integer would overflow."""
        x, y = type_of(self.x), type_of(self.y)
        norm = norm_params(
            self.norm.gamma, self.norm.beta, self.norm.epsilon, x, y, "RMSNorm", NormKind.RMS
        )
        return RmsNorm(
            tokens=self.tokens,
            embed_dim=norm.features,
            input_bits=x.bits,
            input_zero_point=x.zero_point,
            out_zero_point=y.zero_point,
            gamma=norm.gamma,
            epsilon=norm.epsilon,
        )


def match_rms_norm(view: GraphView, anchor: int) -> RmsNormMatch:
    """The RMSNorm around a square root.

    Raises:
      NoMatchError: with the reason.
    """
    norm = find_norm(view, anchor, NormKind.RMS)
    require_int8(view, norm.x, "RMSNorm input")
    require_int8(view, norm.y, "RMSNorm output")
    check_closed(view, norm.ops, {norm.y})
    width = view.tensor(norm.x).shape[-1]
    return RmsNormMatch(norm.x, norm.y, view.tensor(norm.x).size // width, norm, norm.ops)
