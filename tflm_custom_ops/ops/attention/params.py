# SPDX-License-Identifier: Apache-2.0
"""Parameters of the attention block."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.layouts import pack_dual_channel, unpack_dual_channel
from tflm_custom_ops.ops.parts import (
    NARROW_IF_WIDE,
    Int8Array,
    Linear,
    Norm,
    NormPlace,
    Projection,
    Residual,
)
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
from tflm_custom_ops.ops.schema.fields import Codec, dimension, expanded_inputs_word, zero_point
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION

RELATIVE_BITS = 3  # a relative entry's unit is at most 2^3 of a key's or value's
MAX_RELATIVE_SHIFT = 11  # and at least 2^-8


def is_exp_table(table: NDArray[np.uint16], tokens: int) -> bool:
    """The sum of any row of exponentials must be in [1, 2**23), each in 15 bits."""
    largest = int(table.max())
    return bool(table[0] >= 1 and largest <= 32767 and largest * tokens < 1 << 23)


EXP_TABLE_CHECK = Predicate(
    "vit_is_exp_table",
    is_exp_table,
    ("exp_table", "key_tokens"),
    "entries of exp_table <= 32767, the first >= 1, key_tokens times the largest < 2**23",
)


def exp_table_array(*checks: Predicate) -> Array:
    """The 256 exponentials of one octave."""
    return Array("uint16_t", ("256",), checks=checks)


def same_linear(a: Linear, b: Linear) -> bool:
    """Whether two layers compute the same."""
    return (
        a.weights.shape == b.weights.shape
        and a.layout == b.layout
        and (a.shift, a.out_zero_point) == (b.shift, b.out_zero_point)
        and (a.out_min, a.out_max) == (b.out_min, b.out_max)
        and np.array_equal(a.weights, b.weights)
        and np.array_equal(a.bias, b.bias)
        and np.array_equal(a.multiplier, b.multiplier)
    )


class BiasKind(enum.IntEnum):
    """What is added to the scores before the softmax; the values are part of the file format.

    No kernels yet for SLOPE.
    """

    NONE = 0
    FULL = 1  # [heads][key_tokens][key_tokens], of a query and then of a key
    RELATIVE = 2  # [heads][2 window - 1][2 window - 1] by row and column of key less query (Swin)
    SLOPE = 3  # [heads], times the distance of query and key (ALiBi)
    MASK = 4  # [key_tokens][key_tokens], the same for all heads


def _only(condition: str) -> Check:
    """What the kernels can run today; a check that a later kernel relaxes."""
    return Check(condition, Status.BAD_VALUE)


def are_keys(entries: Int8Array, distance: int, head_dim: int) -> bool:
    """Packed keys are in [-127, 127]."""
    del distance, head_dim
    return bool(entries.min() >= -127)


def _pack_relative(entries: NDArray[Any], fields: Mapping[str, Any]) -> NDArray[Any]:
    return pack_dual_channel(entries)


def _unpack_relative(packed: NDArray[Any], fields: Mapping[str, Any]) -> NDArray[Any]:
    return unpack_dual_channel(packed, 2 * len(packed), fields["head_dim"])


def _relative_shift() -> Word:
    return Word(0, f"{MAX_RELATIVE_SHIFT} if relative_distance > 0 else 0")


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
    """Attention block; x and y are ``[tokens, embed_dim]`` of ``residual.bits``.

    With norm_place ABSENT q, k and v read the int8 x itself; residual.multiplier 0 leaves x out of
    y. `relative_keys` is int8 ``[4 * relative_distance + 4, head_dim]``.
    """

    C_TYPE: ClassVar[str] = "VitAttentionParams"

    tokens: Annotated[int, dimension("MAX_TOKENS", doc="of queries")]
    embed_dim: Annotated[int, dimension("MAX_EMBED_DIM")]
    heads: Annotated[int, dimension("MAX_HEAD_FEATURES", doc="of queries")]
    head_dim: Annotated[
        int,
        dimension(
            "MAX_HEAD_DIM",
            checks=(Check("heads * head_dim <= MAX_HEAD_FEATURES"),),
            doc="of queries and keys",
        ),
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
    expanded_inputs: Annotated[int, expanded_inputs_word()] = dataclasses.field(
        default=MAX_EXPANSION, kw_only=True
    )
    score_multiplier: Annotated[int, Word()]
    score_shift: Annotated[int, Word(0, "MAX_SHIFT")]
    exp_table: Annotated[NDArray[np.uint16], exp_table_array()]
    # Divided by P << g >= 2**22 it must fit int32.
    context_numerator: Annotated[int, Word64(53)]
    context_zero_point: Annotated[int, zero_point()]
    shared_down: Annotated[bool, Word(0, 1, doc="1: q, k and v share one `down`")]
    key_tokens: Annotated[
        int,
        dimension(
            "MAX_TOKENS",
            checks=(EXP_TABLE_CHECK,),
            doc="that see each other: all, or those of a window",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    key_heads: Annotated[
        int,
        dimension(
            "MAX_HEAD_FEATURES",
            checks=(Check("heads % key_heads == 0"),),
            doc="of keys and values; each serves heads // key_heads neighbours",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    value_dim: Annotated[
        int,
        dimension(
            "MAX_HEAD_DIM",
            checks=(Check("heads * value_dim <= MAX_HEAD_FEATURES"),),
            doc="of values",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    causal: Annotated[bool, Word(0, 1, doc="1: no key after the query")] = dataclasses.field(
        default=False, kw_only=True
    )
    norm_place: Annotated[
        NormPlace, Word(0, 2, checks=(_only("norm_place != 1"),), doc="VitNormPlace")
    ] = dataclasses.field(default=NormPlace.BEFORE, kw_only=True)
    prefix_tokens: Annotated[
        int,
        Word(
            0,
            "tokens",
            status=Status.BAD_DIMENSION,
            doc="tokens before the grid: class token, registers",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    grid_height: Annotated[
        int,
        Word(
            0,
            "MAX_TOKENS",
            status=Status.BAD_DIMENSION,
            doc="rows of the grid that the other tokens form; 0: none",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    grid_width: Annotated[
        int,
        Word(
            0,
            "MAX_TOKENS",
            status=Status.BAD_DIMENSION,
            doc="tokens of a row of the grid; 0: none",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    window: Annotated[
        int,
        Word(
            0,
            "MAX_TOKENS",
            status=Status.BAD_DIMENSION,
            checks=(
                _only("key_tokens == (window * window if window > 0 else tokens)"),
                _only("window == 0 or (causal == 0 and prefix_tokens == 0)"),
                Check("window == 0 or (grid_height % window == 0 and grid_width % window == 0)"),
            ),
            doc="side of the windows of the grid; 0: all tokens are one",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    window_shift: Annotated[
        int,
        Word(
            0,
            "window - 1 if window > 0 else 0",
            status=Status.BAD_DIMENSION,
            doc="rows and columns that the grid is rolled by, up and to the left; tokens that this "
            "brings together from opposite edges do not see each other",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    bias_kind: Annotated[
        BiasKind,
        Word(
            choices=(BiasKind.NONE, BiasKind.FULL, BiasKind.RELATIVE, BiasKind.MASK),
            # Differences that are cut off must be of exponentials that are 0.
            checks=(
                Check(
                    "score_multiplier >= 1 << 15 or (bias_kind == 0 and window_shift == 0 and "
                    "(causal == 0 or score_shift == 0))",
                    Status.BAD_VALUE,
                ),
                _only("bias_kind != 2 or window > 0"),
            ),
            doc="VitBiasKind",
        ),
    ] = dataclasses.field(default=BiasKind.NONE, kw_only=True)
    bias_count: Annotated[
        int,
        Word(
            0,
            "(1 << 30) if bias_kind > 0 else 0",
            status=Status.BAD_DIMENSION,
            checks=(
                Check("bias_kind != 1 or bias_count == heads * key_tokens * key_tokens"),
                Check(
                    "bias_kind != 2 or bias_count == heads * (2 * window - 1) * (2 * window - 1)"
                ),
                Check("bias_kind != 4 or bias_count == key_tokens * key_tokens"),
            ),
            doc="elements of `bias`",
        ),
    ] = dataclasses.field(init=False)
    bias: Annotated[
        NDArray[np.int16] | None,
        Array(
            "int16_t",
            ("bias_count",),
            present="bias_kind > 0",
            doc="added to a score as bias << bias_shift; -32768 leaves the key out",
        ),
    ] = dataclasses.field(default=None, kw_only=True)
    bias_shift: Annotated[int, Word(0, "8 if bias_kind > 0 else 0")] = dataclasses.field(
        default=0, kw_only=True
    )
    relative_distance: Annotated[
        int,
        Word(
            0,
            "MAX_RELATIVE_DISTANCE if window == 0 else 0",
            status=Status.BAD_DIMENSION,
            checks=(
                Check(
                    "prefix_tokens == 0 and grid_height == 0 and grid_width == 0 "
                    "if relative_distance == 0 and window == 0 else "
                    "grid_height * grid_width > 0 "
                    "and prefix_tokens + grid_height * grid_width == tokens"
                ),
                Check(
                    "relative_distance == 0 or score_shift == 0 or score_multiplier >= 1 << 15",
                    Status.BAD_VALUE,
                ),
            ),
            doc="largest distance in rows or columns that the relative tables tell apart; 0: none",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    relative_keys: Annotated[
        Int8Array | None,
        Array(
            "int16_t",
            ("2 * relative_distance + 2", "(head_dim + 1) // 2 * 2"),
            codec=Codec(_pack_relative, _unpack_relative),
            present="relative_distance > 0",
            checks=(
                Predicate(
                    "vit_are_packed_keys",
                    are_keys,
                    ("relative_keys", "relative_distance", "head_dim"),
                    "entries in [-127, 127]",
                    condition="relative_distance > 0",
                ),
            ),
            doc="two entries in an int16, by row and then by column distance, of either the first "
            "for prefix tokens; in units of k times 2^(3 - relative_key_shift)",
        ),
    ] = dataclasses.field(default=None, kw_only=True)
    relative_key_shift: Annotated[int, _relative_shift()] = dataclasses.field(
        default=0, kw_only=True
    )
    relative_values: Annotated[
        Int8Array | None,
        Array(
            "int8_t",
            ("value_dim", "4 * relative_distance + 4"),
            present="relative_distance > 0",
            doc="the same entries, in units of v times 2^(3 - relative_value_shift)",
        ),
    ] = dataclasses.field(default=None, kw_only=True)
    relative_value_shift: Annotated[int, _relative_shift()] = dataclasses.field(
        default=0, kw_only=True
    )
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
    q: Annotated[Projection, _projection("embed_dim", "heads * head_dim", "8", "q")]
    k: Annotated[Projection, _projection("embed_dim", "key_heads * head_dim", "8", "k")]
    v: Annotated[Projection, _projection("embed_dim", "key_heads * value_dim", "8", "v")]
    out: Annotated[
        Projection,
        Part(
            {"bits": "residual.bits"},
            checks=(
                Check("out.in_features == heads * value_dim"),
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

    features = Expression("heads * value_dim")
    windows = Expression("tokens // key_tokens")
    relative_entries = Expression("4 * relative_distance + 4 if relative_distance > 0 else 0")

    def __post_init__(self) -> None:
        """Sizes that are left out are those of plain self-attention."""
        self.derive(
            key_tokens=self.key_tokens or self.window**2 or self.tokens,
            key_heads=self.key_heads or self.heads,
            value_dim=self.value_dim or self.head_dim,
            bias_count=0 if self.bias is None else int(self.bias.size),
        )
