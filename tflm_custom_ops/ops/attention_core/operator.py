# SPDX-License-Identifier: Apache-2.0
"""Attention between projected tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import cost
from tflm_custom_ops.ops.attention.operator import (
    DEFAULT_TOKEN_TILE,
    SCORE_BYTES,
    VALUE_TOKENS,
)
from tflm_custom_ops.ops.attention_core.params import AttentionCore
from tflm_custom_ops.ops.attention_core.reference import run_attention_core
from tflm_custom_ops.ops.attention_core.work import work_of
from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params
from tflm_custom_ops.ops.scratch import align, area, even, expansion, row_capacity, wide
from tflm_custom_ops.ops.work import Work


class AttentionCoreOperator(FusedOperator[AttentionCore]):
    """softmax(scale q.k + bias).v, in a tile of queries of one head at a time."""

    KIND: ClassVar[int] = 8
    NAME: ClassVar[str] = "attention_core"
    CODE: ClassVar[str] = "VitAttentionCore"
    PARAMS: ClassVar[type[Params]] = AttentionCore
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (
        DeclaredTensor(("q.elements",), zero_point="q_zero_point", name="q"),
        DeclaredTensor(("k.elements",), zero_point="k_zero_point", name="k"),
        DeclaredTensor(("v.elements",), zero_point="v_zero_point", name="v"),
    )
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(
        ("out.elements",), zero_point="context_zero_point"
    )
    # A tile of queries is read before its results are written, to the same elements.
    IN_PLACE: ClassVar[str] = (
        "value_dim == head_dim and q.elements == out.elements and q.offset == 0 "
        "and q.batch_stride == out.batch_stride and q.head_stride == out.head_stride "
        "and q.token_stride == out.token_stride and q.channel_stride == out.channel_stride"
    )
    C_X: ClassVar[str] = "const int8_t*"
    C_Y: ClassVar[str] = "int8_t*"
    C_NOTE: ClassVar[str] = (
        "Attention between projected tensors, which may be one and the same. y may equal q where\n"
        "that is no other input and both have one view."
    )

    def reference(self, q: ArrayLike, k: ArrayLike, v: ArrayLike) -> NDArray[Any]:
        """int8 y ``[out.elements]``."""
        return run_attention_core(self.params, q, k, v)

    @property
    def _key_stride(self) -> int:
        """Elements of a row of values, scores and exponentials."""
        return -(-self.params.key_tokens // 4) * 4

    @property
    def score_rows(self) -> int:
        """Queries whose scores are computed at a time, in no more than a tile's exponentials."""
        rows = row_capacity(min(self.params.token_tile, self.params.tokens))
        space = min(SCORE_BYTES, area(rows, self._key_stride, 2))
        return max(2, min(space // (4 * self._key_stride) // 2 * 2, rows))

    @property
    def kept_bytes(self) -> int:
        """Keys and values of one head, and a list of what does not fit the keys' packing."""
        p = self.params
        keys = align(even(p.key_tokens) * even(p.head_dim))
        return keys + area(p.value_dim, self._key_stride, 1) + area(p.key_tokens, 2, 2)

    @property
    def scratch_bytes(self) -> int:
        """vit_attention_core_plan.h describes the regions."""
        p, stride = self.params, self._key_stride
        tile = min(p.token_tile, p.tokens)
        scores = area(self.score_rows, stride, 4) + wide(self.score_rows, p.head_dim)
        scores += expansion(p.head_dim)
        context = expansion(min(stride, VALUE_TOKENS))
        if p.out.channel_stride != 1:
            context += area(tile, p.value_dim, 1)
        total = self.kept_bytes + area(tile, 1, 4) + area(row_capacity(tile), stride, 2)
        return total + max(scores, context)

    def schedules(self) -> Iterator[AttentionCore]:
        """Token tiles."""
        for tile in cost.token_tiles(self.params.tokens):
            yield dataclasses.replace(self.params, token_tile=tile)

    def default_schedule(self) -> AttentionCore:
        """A small tile."""
        tile = min(DEFAULT_TOKEN_TILE, self.params.tokens)
        return dataclasses.replace(self.params, token_tile=tile)

    @property
    def work(self) -> Work:
        """Packing keys and values, scores, softmax and context."""
        return work_of(self.params, self.score_rows, VALUE_TOKENS)

    @property
    def schedule_text(self) -> str:
        """E.g. "16 queries"."""
        return f"{self.params.token_tile} queries"

    def schedule_changes(self, other: FusedOperator[Any]) -> tuple[str, ...]:
        """Fewer queries at a time."""
        smaller = other.params.token_tile < self.params.token_tile
        return ("smaller token tiles",) if smaller else ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of q.k and of the context."""
        p = self.params
        scores = p.batches * p.heads * p.tokens * p.key_tokens
        return scores * (p.head_dim + p.value_dim)
