# SPDX-License-Identifier: Apache-2.0
"""Parameters of LayerNorm on its own."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, ClassVar

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import Norm
from tflm_custom_ops.ops.schema import Check, Part, Status, Word
from tflm_custom_ops.ops.schema.fields import dimension, zero_point
from tflm_custom_ops.ops.schema.residual import RESIDUAL_BITS


class Pool(enum.IntEnum):
    """What the operator does over the tokens."""

    NONE = 0
    MEAN = 1
    FIRST = 2


@dataclasses.dataclass(frozen=True, eq=False)
class LayerNorm(Params):
    """LayerNorm on its own: x ``[tokens, embed_dim]`` int8/int16 -> int8, optionally pooled."""

    C_TYPE: ClassVar[str] = "VitLayerNormParams"

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
    pool: Annotated[Pool, Word(0, 2, doc="VitPool: 0 none, 1 mean, 2 first token")]
    zero_point: Annotated[int, zero_point(doc="of the normalised tensor (mean pool)")]
    pool_multiplier: Annotated[int, Word()]
    pool_zero_point: Annotated[int, zero_point()]
    norm: Annotated[
        Norm,
        Part(
            checks=(
                Check("norm.features == embed_dim"),
                Check("norm.kind == 0", Status.BAD_VALUE),  # VitRmsNorm is the other
            )
        ),
    ]
