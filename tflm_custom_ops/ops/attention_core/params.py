# SPDX-License-Identifier: Apache-2.0
"""Parameters of attention between tensors that are already projected."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.attention.params import EXP_TABLE_CHECK, exp_table_array
from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.schema import Array, Check, Part, Predicate, Status, Struct, Word, Word64
from tflm_custom_ops.ops.schema.fields import dimension, zero_point


def _stride(doc: str) -> Word:
    return Word(0, "elements", status=Status.BAD_DIMENSION, doc=doc)


@dataclasses.dataclass(frozen=True, eq=False)
class View(Struct):
    """Where the elements ``[batches][heads][tokens][channels]`` lie in a tensor, in elements.

    Any RESHAPE, TRANSPOSE or SLICE of a tensor is a view of it; a stride of 0 repeats (one head of
    keys for all heads). The largest element number must lie in the tensor.
    """

    C_TYPE: ClassVar[str] = "VitView"
    PARAMETERS: ClassVar[tuple[str, ...]] = ("batches", "heads", "tokens", "channels")

    elements: Annotated[int, dimension("MAX_ELEMENTS", doc="of the whole tensor")]
    offset: Annotated[int, _stride("of the first element")]
    batch_stride: Annotated[int, _stride("from one batch to the next")]
    head_stride: Annotated[int, _stride("from one head to the next")]
    token_stride: Annotated[int, _stride("from one token to the next")]
    channel_stride: Annotated[
        int,
        Word(
            0,
            "elements",
            status=Status.BAD_DIMENSION,
            checks=(
                Check(
                    "offset + (batches - 1) * batch_stride + (heads - 1) * head_stride "
                    "+ (tokens - 1) * token_stride + (channels - 1) * channel_stride < elements"
                ),
            ),
            doc="from one channel of a head to the next",
        ),
    ]

    def indices(self, batches: int, heads: int, tokens: int, channels: int) -> NDArray[np.int64]:
        """Element numbers ``[batches, heads, tokens, channels]``."""
        b, h, t, c = np.ogrid[:batches, :heads, :tokens, :channels]
        numbers: NDArray[np.int64] = (
            self.offset
            + b * self.batch_stride
            + h * self.head_stride
            + t * self.token_stride
            + c * self.channel_stride
        )
        return numbers


def is_whole(view: View, batches: int, heads: int, tokens: int, channels: int) -> bool:
    """Whether a view has each element of its tensor once."""
    sizes = (batches, heads, tokens, channels)
    strides = (view.batch_stride, view.head_stride, view.token_stride, view.channel_stride)
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(strides, sizes, strict=True) if n > 1):
        if stride != expected:
            return False
        expected *= size
    return view.offset == 0 and view.elements == expected


def _view(heads: str, tokens: str, channels: str) -> dict[str, str]:
    return {"batches": "batches", "heads": heads, "tokens": tokens, "channels": channels}


@dataclasses.dataclass(frozen=True, eq=False)
class AttentionCore(Params):
    """softmax(scale q.k + bias).v of int8 tensors, `batches` times independently."""

    C_TYPE: ClassVar[str] = "VitAttentionCoreParams"

    batches: Annotated[int, dimension("MAX_TOKENS", doc="windows, or other leading dimensions")]
    tokens: Annotated[int, dimension("MAX_TOKENS", doc="queries of a batch")]
    key_tokens: Annotated[int, dimension("MAX_TOKENS", doc="keys and values of a batch")]
    heads: Annotated[int, dimension("MAX_HEAD_FEATURES", doc="of queries")]
    key_heads: Annotated[
        int,
        dimension(
            "MAX_HEAD_FEATURES",
            checks=(Check("heads % key_heads == 0"),),
            doc="of keys and values; each serves heads // key_heads neighbours",
        ),
    ]
    head_dim: Annotated[int, dimension("MAX_HEAD_DIM", doc="of queries and keys")]
    value_dim: Annotated[int, dimension("MAX_HEAD_DIM", doc="of values")]
    token_tile: Annotated[int, dimension("MAX_TOKENS", schedule=True, doc="query tokens at a time")]
    q: Annotated[View, Part(_view("heads", "tokens", "head_dim"))]
    k: Annotated[View, Part(_view("key_heads", "key_tokens", "head_dim"))]
    v: Annotated[View, Part(_view("key_heads", "key_tokens", "value_dim"))]
    out: Annotated[
        View,
        Part(
            _view("heads", "tokens", "value_dim"),
            checks=(
                Predicate(
                    "vit_is_whole_view",
                    is_whole,
                    ("out", "batches", "heads", "tokens", "value_dim"),
                    "each element of the output once",
                    status=Status.BAD_DIMENSION,
                ),
            ),
        ),
    ]
    q_zero_point: Annotated[int, zero_point()]
    k_zero_point: Annotated[int, zero_point(doc="no result depends on it")]
    v_zero_point: Annotated[int, zero_point()]
    score_multiplier: Annotated[int, Word(0)]
    score_shift: Annotated[int, Word(0, "MAX_SHIFT")]
    exp_table: Annotated[NDArray[np.uint16], exp_table_array(EXP_TABLE_CHECK)]
    # Divided by P << g >= 2**22 it must fit int32.
    context_numerator: Annotated[int, Word64(53)]
    context_zero_point: Annotated[int, zero_point()]
    causal: Annotated[bool, Word(0, 1, doc="1: query i has keys 0 .. i + past_tokens only")] = (
        dataclasses.field(default=False, kw_only=True)
    )
    past_tokens: Annotated[
        int,
        Word(
            0,
            "MAX_TOKENS if causal else 0",
            status=Status.BAD_DIMENSION,
            doc="keys before that of the first query",
        ),
    ] = dataclasses.field(default=0, kw_only=True)
    bias_batches: Annotated[
        int,
        Word(
            0,
            "batches",
            status=Status.BAD_DIMENSION,
            checks=(
                Check("bias_batches == 0 or batches % bias_batches == 0"),
                # Differences that are cut off must be of exponentials that are 0.
                Check(
                    "score_multiplier >= 1 << 15 or (score_shift == 0 and bias_batches == 0)",
                    Status.BAD_VALUE,
                ),
            ),
            doc="0: no bias; batch b has that of b % bias_batches",
        ),
    ] = dataclasses.field(init=False)
    bias_heads: Annotated[
        int,
        Word(
            "1 if bias_batches > 0 else 0",
            "heads if bias_batches > 0 else 0",
            status=Status.BAD_DIMENSION,
            checks=(Check("bias_heads <= 1 or bias_heads == heads"),),
            doc="`heads`, or 1 for all",
        ),
    ] = dataclasses.field(init=False)
    bias: Annotated[
        NDArray[np.int16] | None,
        Array(
            "int16_t",
            ("bias_batches", "bias_heads", "tokens", "key_tokens"),
            present="bias_batches > 0",
            doc="added to a score as bias << bias_shift; -32768 leaves the key out",
        ),
    ] = dataclasses.field(default=None, kw_only=True)
    bias_shift: Annotated[int, Word(0, "8 if bias_batches > 0 else 0")] = dataclasses.field(
        default=0, kw_only=True
    )

    def __post_init__(self) -> None:
        batches, heads = (0, 0) if self.bias is None else self.bias.shape[:2]
        self.derive(bias_batches=int(batches), bias_heads=int(heads))
