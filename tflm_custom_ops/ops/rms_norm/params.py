# SPDX-License-Identifier: Apache-2.0
"""Parameters of RMSNorm on its own."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import Int32Array
from tflm_custom_ops.ops.schema import Array, Check, Status, Word, Word64
from tflm_custom_ops.ops.schema.fields import dimension, zero_point
from tflm_custom_ops.ops.schema.residual import RESIDUAL_BITS


@dataclasses.dataclass(frozen=True, eq=False)
class RmsNorm(Params):
    """RMSNorm on its own: x ``[tokens, embed_dim]`` int8/int16 -> int8 of the same shape."""

    C_TYPE: ClassVar[str] = "VitRmsNormParams"

    tokens: Annotated[int, dimension("MAX_TOKENS")]
    embed_dim: Annotated[int, dimension("MAX_EMBED_DIM")]
    input_bits: Annotated[
        int,
        Word(
            choices=RESIDUAL_BITS,
            checks=(
                Check("input_bits == 8 or embed_dim <= MAX_EMBED_DIM_16", Status.BAD_DIMENSION),
            ),
        ),
    ]
    input_zero_point: Annotated[int, zero_point("input_bits")]
    out_zero_point: Annotated[int, zero_point()]
    gamma: Annotated[Int32Array, Array("int32_t", ("embed_dim",), section="RMSNorm")]
    epsilon: Annotated[int, Word64(49)]  # V = D * sum (x - z)**2 + E stays below 2**50
