# SPDX-License-Identifier: Apache-2.0
"""What the converter proves of an operator's numbers is proved again of those in a file."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.tflm_custom_ops import generators
from tflm_custom_ops.ops import (
    LinearOp,
    OpKind,
    OptionsError,
    Params,
    Projection,
    decode,
    encode,
    run_reference,
)

INT32 = 2**31 - 1
replace = dataclasses.replace


def read_back(op: Params) -> Params:
    return decode(*encode(op))


def layer(**changes: Any) -> LinearOp:
    """One row of 4 inputs and an output: |sum| is at most 128 * 400 + |bias|."""
    op = generators.random_op(OpKind.LINEAR, np.random.default_rng(0))
    fields = {
        "weights": np.full((1, 4), 100, np.int8), "bias": np.zeros(1, np.int32), "shift": 0,
        "multiplier": np.ones(1, np.int32), "k_block": 4,
    }  # fmt: skip
    up = replace(generators.linear(np.random.default_rng(0), 4, 1), **fields | changes)
    return replace(op, rows=1, token_tile=1, projection=Projection(up))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", OpKind)
def test_what_keeps_the_promises_is_read(kind: OpKind, seed: int) -> None:
    for extreme in (False, True):
        read_back(generators.random_op(kind, np.random.default_rng(seed), extreme=extreme))


@pytest.mark.parametrize(
    ("changes", "rest"),
    [
        ({"bias": np.array([INT32 - 51200], np.int32)}, 1),
        ({"bias": np.array([-INT32 + 51200], np.int32)}, -1),
        ({"bias": np.array([(INT32 >> 15) - 51200], np.int32), "shift": 15}, 1),
    ],
    ids=["bias", "negative", "shifted"],
)  # fmt: skip
def test_the_largest_sum_is_read_and_one_more_is_not(changes: dict[str, Any], rest: int) -> None:
    op = layer(**changes)
    x = np.full((1, 4), 127 if rest > 0 else -128, np.int8)
    run_reference(read_back(op), x)
    with pytest.raises(OptionsError, match="leave 32 bits; fuse the model again"):
        read_back(layer(**changes | {"bias": changes["bias"] + rest}))


def block(kind: OpKind, seed: int = 0) -> Any:
    return generators.random_op(kind, np.random.default_rng(seed))


def broken_norm() -> Params:
    op = block(OpKind.LAYER_NORM)
    beta = op.norm.beta.copy()
    beta[-1] = INT32
    return replace(op, norm=replace(op.norm, beta=beta))


def plain_attention() -> Any:
    drawn = (block(OpKind.ATTENTION, seed) for seed in range(99))
    return next(
        op for op in drawn
        if not (op.causal or op.bias_count or op.relative_distance or op.window_shift)
    )  # fmt: skip


def test_scores() -> None:
    """At the bound the definition runs; beyond it, or with a negative factor, nothing is read."""
    op = plain_attention()
    q = replace(op.q.up, out_zero_point=-128, out_min=-128, out_max=127)
    k = replace(op.k.up, out_min=-127, out_max=127)
    op = replace(op, q=replace(op.q, up=q), k=replace(op.k, up=k), score_multiplier=1)
    most = (INT32 // (op.head_dim * 255 * 254)).bit_length() - 1
    assert most < 15
    read_back(replace(op, score_shift=most))
    with pytest.raises(OptionsError, match="differences of up to"):
        read_back(replace(op, score_shift=most + 1))
    with pytest.raises(OptionsError, match="multiplier of -1, expected 0 or more"):
        read_back(replace(op, score_shift=0, score_multiplier=-1))


def test_a_norm_that_leaves_its_bits_is_not_read() -> None:
    with pytest.raises(OptionsError, match=r"norm over .* leave 32 bits; fuse the model again"):
        read_back(broken_norm())
