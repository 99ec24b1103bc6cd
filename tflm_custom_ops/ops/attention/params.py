# SPDX-License-Identifier: Apache-2.0
"""Parameters of the attention block."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import Linear, Norm, Projection, Residual
from tflm_custom_ops.ops.schema import (
    Array,
    Check,
    Expression,
    Part,
    Predicate,
    Status,
    Word,
    Word64,
)
from tflm_custom_ops.ops.schema.fields import dimension, zero_point


def is_exp_table(table: NDArray[np.uint16], tokens: int) -> bool:
    """The sum of any row of exponentials must be in [1, 2**23), each in 15 bits."""
    largest = int(table.max())
    return bool(table[0] >= 1 and largest <= 32767 and largest * tokens < 1 << 23)


def same_linear(a: Linear, b: Linear) -> bool:
    """Whether two layers compute the same."""
    return (
        a.weights.shape == b.weights.shape
        and (a.shift, a.out_zero_point) == (b.shift, b.out_zero_point)
        and (a.out_min, a.out_max) == (b.out_min, b.out_max)
        and np.array_equal(a.weights, b.weights)
        and np.array_equal(a.bias, b.bias)
        and np.array_equal(a.multiplier, b.multiplier)
    )


def _projection(in_features: str, out_features: str, bits: str, name: str) -> Part:
    return Part(
        {"bits": bits},
        checks=(
            Check(f"{name}.in_features == {in_features}"),
            Check(f"{name}.out_features == {out_features}"),
        ),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Attention(Params):
    """Attention block; x and y are ``[tokens, embed_dim]`` of ``residual.bits``."""

    C_TYPE: ClassVar[str] = "VitAttentionParams"

    tokens: Annotated[int, dimension("MAX_TOKENS")]
    embed_dim: Annotated[int, dimension("MAX_EMBED_DIM")]
    heads: Annotated[int, dimension("MAX_HEAD_FEATURES")]
    head_dim: Annotated[
        int,
        dimension("MAX_HEAD_DIM", checks=(Check("heads * head_dim <= MAX_HEAD_FEATURES"),)),
    ]
    token_tile: Annotated[int, dimension("MAX_TOKENS", schedule=True, doc="query tokens at a time")]
    heads_at_a_time: Annotated[
        int,
        Word(
            schedule=True,
            checks=(Check("heads_at_a_time == 1 or heads_at_a_time == heads"),),
            doc="`heads`, or 1",
        ),
    ]
    score_multiplier: Annotated[int, Word()]
    score_shift: Annotated[int, Word(0, "MAX_SHIFT")]
    exp_table: Annotated[
        NDArray[np.uint16],
        Array(
            "uint16_t",
            ("256",),
            checks=(
                Predicate(
                    "vit_is_exp_table",
                    is_exp_table,
                    ("exp_table", "tokens"),
                    "entries <= 32767, the first >= 1, tokens times the largest < 2**23",
                ),
            ),
        ),
    ]
    # Divided by P << g >= 2**22 it must fit int32.
    context_numerator: Annotated[int, Word64(53)]
    context_zero_point: Annotated[int, zero_point()]
    shared_down: Annotated[bool, Word(0, 1, doc="1: q, k and v share one `down`")]
    residual: Annotated[Residual, Part()]
    norm: Annotated[Norm, Part(checks=(Check("norm.features == embed_dim"),))]
    q: Annotated[Projection, _projection("embed_dim", "heads * head_dim", "8", "q")]
    k: Annotated[Projection, _projection("embed_dim", "heads * head_dim", "8", "k")]
    v: Annotated[Projection, _projection("embed_dim", "heads * head_dim", "8", "v")]
    out: Annotated[
        Projection,
        Part(
            {"bits": "residual.bits"},
            checks=(
                Check("out.in_features == heads * head_dim"),
                Check("out.out_features == embed_dim"),
                # Keys are packed in pairs like weights.
                Check("k.up.out_min >= -127", Status.BAD_VALUE),
                # The values use the keys' `down` layer where it is shared.
                Check("not shared_down or (k.rank > 0 and k.rank == v.rank)"),
                Predicate(
                    "vit_same_linear",
                    same_linear,
                    ("k.down", "v.down"),
                    "the same `down` as v",
                    condition="shared_down",
                ),
            ),
        ),
    ]

    features = Expression("heads * head_dim")
