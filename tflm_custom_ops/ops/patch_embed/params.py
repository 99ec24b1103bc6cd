# SPDX-License-Identifier: Apache-2.0
"""Parameters of the patch embedding."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import Int8Array, Linear
from tflm_custom_ops.ops.schema import Array, Check, Expression, Part, Status, Word
from tflm_custom_ops.ops.schema.fields import dimension, expanded_inputs_word, zero_point
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.schema.residual import RESIDUAL_BITS


def _padding(side: str) -> Word:
    """Every patch begins inside the image, padding included."""
    return Word(0, f"{side} - 1", status=Status.BAD_DIMENSION)


@dataclasses.dataclass(frozen=True, eq=False)
class PatchEmbed(Params):
    """Patch embedding: image int8 ``[height, width, channels]`` -> tokens ``[tokens, embed_dim]``.

    With ``planes`` the image is ``[channels, height, width]``, as PyTorch has it, and so are the
    weights.
    ``pos`` is int8 ``[grid_height * grid_width, embed_dim]`` or None; ``cls`` a row
    ``[embed_dim]`` of the output type or None.
    """

    C_TYPE: ClassVar[str] = "VitPatchEmbedParams"

    image_height: Annotated[int, dimension("MAX_IMAGE_SIDE")]
    image_width: Annotated[int, dimension("MAX_IMAGE_SIDE")]
    channels: Annotated[int, dimension("MAX_CHANNELS")]
    patch_height: Annotated[int, dimension("MAX_IMAGE_SIDE")]
    patch_width: Annotated[int, dimension("MAX_IMAGE_SIDE")]
    stride_y: Annotated[int, dimension("MAX_IMAGE_SIDE")]
    stride_x: Annotated[int, dimension("MAX_IMAGE_SIDE")]
    pad_top: Annotated[int, _padding("patch_height")]
    pad_left: Annotated[int, _padding("patch_width")]
    grid_height: Annotated[
        int,
        dimension(
            "MAX_IMAGE_SIDE",
            checks=(Check("(grid_height - 1) * stride_y - pad_top < image_height"),),
            doc="patches down",
        ),
    ]
    grid_width: Annotated[
        int,
        dimension(
            "MAX_IMAGE_SIDE",
            checks=(Check("(grid_width - 1) * stride_x - pad_left < image_width"),),
            doc="patches across",
        ),
    ]
    embed_dim: Annotated[int, dimension("MAX_EMBED_DIM")]
    patch_tile: Annotated[
        int,
        dimension(
            "MAX_IMAGE_SIDE",
            checks=(Check("patch_tile % 2 == 0"),),
            schedule=True,
            doc="even; patches of a strip at a time",
        ),
    ] = dataclasses.field(default=4, kw_only=True)
    expanded_inputs: Annotated[int, expanded_inputs_word()] = dataclasses.field(
        default=MAX_EXPANSION, kw_only=True
    )
    planes: Annotated[
        bool, Word(0, 1, doc="1: image and weights are [channels][height][width]")
    ] = dataclasses.field(default=False, kw_only=True)
    input_zero_point: Annotated[int, zero_point()]
    output_bits: Annotated[int, Word(choices=RESIDUAL_BITS)]
    has_cls: Annotated[
        bool,
        Word(
            0,
            1,
            checks=(Check("grid_height * grid_width + has_cls <= MAX_TOKENS"),),
            doc="1: token 0 is `cls`",
        ),
    ] = dataclasses.field(init=False)
    cls: Annotated[
        NDArray[np.int8] | NDArray[np.int16] | None,
        Array(
            "bits:output_bits",
            ("embed_dim",),
            present="has_cls",
            section="positions",
            doc="of the output type",
        ),
    ]
    has_pos: Annotated[bool, Word(0, 1)] = dataclasses.field(init=False)
    pos: Annotated[
        Int8Array | None,
        Array(
            "int8_t",
            ("grid_height * grid_width", "embed_dim"),
            present="has_pos",
            section="positions",
            doc="patches only",
        ),
    ]
    pos_zero_point: Annotated[int, zero_point()]
    pos_multiplier: Annotated[int, Word()]
    pos_shift: Annotated[int, Word(0, "MAX_RESIDUAL_SHIFT")]
    linear: Annotated[
        Linear,
        Part(
            {"bits": "output_bits"},
            checks=(
                Check("linear.in_features == patch_height * patch_width * channels"),
                Check("linear.out_features == embed_dim"),
            ),
        ),
    ]

    patches = Expression("grid_height * grid_width")
    tokens = Expression("grid_height * grid_width + has_cls")

    def __post_init__(self) -> None:
        self.derive(has_cls=self.cls is not None, has_pos=self.pos is not None)
