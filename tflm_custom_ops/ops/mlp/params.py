# SPDX-License-Identifier: Apache-2.0
"""Parameters of the MLP block."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import (
    NARROW_IF_WIDE,
    Int8Array,
    Norm,
    NormPlace,
    Projection,
    Residual,
)
from tflm_custom_ops.ops.schema import Array, Check, Part, Status, Word
from tflm_custom_ops.ops.schema.fields import dimension, expanded_inputs_word
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION


@dataclasses.dataclass(frozen=True, eq=False)
class Mlp(Params):
    """MLP block; x, y ``[tokens, embed_dim]`` of ``residual.bits``; ``lut`` int8 ``[256]``.

    With norm_place ABSENT fc1 reads the int8 x itself; residual.multiplier 0 leaves x out of y.
    """

    C_TYPE: ClassVar[str] = "VitMlpParams"

    tokens: Annotated[int, dimension("MAX_TOKENS")]
    embed_dim: Annotated[int, dimension("MAX_EMBED_DIM")]
    hidden_dim: Annotated[int, dimension("MAX_FEATURES")]
    token_tile: Annotated[int, dimension("MAX_TOKENS", schedule=True, doc="tokens at a time")]
    hidden_tile: Annotated[
        int,
        Word(
            1,
            "hidden_dim",
            status=Status.BAD_DIMENSION,
            schedule=True,
            checks=(Check("hidden_tile % 2 == 0 or hidden_tile == hidden_dim"),),
            doc="hidden units at a time, even or `hidden_dim`",
        ),
    ]
    expanded_inputs: Annotated[int, expanded_inputs_word()] = dataclasses.field(
        default=MAX_EXPANSION, kw_only=True
    )
    norm_place: Annotated[
        NormPlace,
        Word(0, 2, checks=(Check("norm_place != 1", Status.BAD_VALUE),), doc="VitNormPlace"),
    ] = dataclasses.field(default=NormPlace.BEFORE, kw_only=True)
    gate: Annotated[
        bool,
        Word(
            0,
            1,
            checks=(Check("gate == 0", Status.BAD_VALUE),),
            doc="1: fc1 has 2 hidden_dim outputs, the table of the first half times the second",
        ),
    ] = dataclasses.field(default=False, kw_only=True)
    gate_multiplier: Annotated[
        int, Word(0, "MAX_INT32 if gate else 0", doc="of the product of both halves")
    ] = dataclasses.field(default=0, kw_only=True)
    gate_shift: Annotated[int, Word(0, "MAX_SHIFT if gate else 0")] = dataclasses.field(
        default=0, kw_only=True
    )
    table_zero_point: Annotated[
        int,
        Word(
            "-128 if gate else 0",
            "127 if gate else 0",
            doc="of the table's output, where it is multiplied",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    lut: Annotated[Int8Array, Array("int8_t", ("256",), doc="indexed by value + 128")]
    residual: Annotated[Residual, Part(checks=(NARROW_IF_WIDE,))]
    norm: Annotated[
        Norm | None,
        Part(
            present="norm_place != 2",
            checks=(
                Check("norm_place != 2 or residual.bits == 8", Status.BAD_VALUE),
                Check("norm_place == 2 or norm.features == embed_dim"),
            ),
        ),
    ]
    fc1: Annotated[
        Projection,
        Part(
            {"bits": "8"},
            checks=(
                Check("fc1.in_features == embed_dim"),
                Check("fc1.out_features == hidden_dim * (2 if gate else 1)"),
            ),
        ),
    ]
    fc2: Annotated[
        Projection,
        Part(
            {"bits": "residual.bits"},
            checks=(
                Check("fc2.in_features == hidden_dim"),
                Check("fc2.out_features == embed_dim"),
            ),
        ),
    ]
