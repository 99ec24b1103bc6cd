# SPDX-License-Identifier: Apache-2.0
"""Tiles that fit small memories; `converter.plan.plan_model` replaces them by chosen ones."""

from __future__ import annotations

import dataclasses

from tflm_custom_ops.options import Attention, LinearOp, Mlp, Op

ATTENTION_TOKEN_TILE = 6
MLP_TOKEN_TILE = 12


def default_schedule(op: Op) -> Op:
    """The operator with default tiles; a schedule never changes a result."""
    if isinstance(op, Attention):
        return dataclasses.replace(
            op, token_tile=min(ATTENTION_TOKEN_TILE, op.tokens), heads_at_a_time=op.heads
        )
    if isinstance(op, Mlp):
        return dataclasses.replace(
            op, token_tile=min(MLP_TOKEN_TILE, op.tokens), hidden_tile=op.hidden_dim
        )
    if isinstance(op, LinearOp):
        return dataclasses.replace(op, token_tile=min(MLP_TOKEN_TILE, op.rows))
    return op
