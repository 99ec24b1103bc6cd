# SPDX-License-Identifier: Apache-2.0
"""Parameters of patch merging."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import Linear, Norm
from tflm_custom_ops.ops.schema import Check, Expression, Part, Status, Word
from tflm_custom_ops.ops.schema.fields import dimension, expanded_inputs_word
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.schema.residual import RESIDUAL_BITS


@dataclasses.dataclass(frozen=True, eq=False)
class PatchMerge(Params):
    """Patch merging: tokens ``[grid_height * stride, grid_width * stride, channels]`` of ``bits``
    -> ``[grid_height * grid_width, linear.out_features]`` of the same type.

    The ``stride * stride`` tokens of a patch side by side, row after row of them, are normed and go
    through ``linear``.
    """

    C_TYPE: ClassVar[str] = "VitPatchMergeParams"

    grid_height: Annotated[int, dimension("MAX_IMAGE_SIDE", doc="patches down")]
    grid_width: Annotated[int, dimension("MAX_IMAGE_SIDE", doc="patches across")]
    stride: Annotated[
        int,
        dimension(
            "MAX_IMAGE_SIDE",
            checks=(Check("grid_height * stride * grid_width * stride <= MAX_TOKENS"),),
            doc="tokens of a patch's side",
        ),
    ]
    channels: Annotated[int, dimension("MAX_EMBED_DIM", doc="of a token of x")]
    token_tile: Annotated[
        int,
        dimension(
            "MAX_TOKENS",
            checks=(Check("token_tile % 2 == 0"),),
            schedule=True,
            doc="even; tokens of y at a time",
        ),
    ] = dataclasses.field(default=2, kw_only=True)
    expanded_inputs: Annotated[int, expanded_inputs_word()] = dataclasses.field(
        default=MAX_EXPANSION, kw_only=True
    )
    bits: Annotated[int, Word(choices=RESIDUAL_BITS, doc="type of x and y")]
    norm: Annotated[
        Norm,
        Part(
            checks=(
                Check("norm.features == stride * stride * channels"),
                Check("bits == 8 or norm.features <= MAX_EMBED_DIM_16"),
                Check("norm.kind == 0", Status.BAD_VALUE),
            )
        ),
    ]
    linear: Annotated[
        Linear, Part({"bits": "bits"}, checks=(Check("linear.in_features == norm.features"),))
    ]

    tokens = Expression("grid_height * grid_width")
