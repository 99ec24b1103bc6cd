# SPDX-License-Identifier: Apache-2.0
"""Limits of single fields, by their values: the last that is accepted and the next."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.tflm_custom_ops import generators
from tests.tflm_custom_ops.ops.test_parser_parity import c_status, python_status
from tflm_custom_ops.ops import Attention, OpKind, Status, encode


def attention() -> Attention:
    return generators.attention(np.random.default_rng(1), tokens=2, embed_dim=4, rank=0)


def with_key_minimum(value: int) -> Attention:
    op = attention()
    return dataclasses.replace(
        op, k=dataclasses.replace(op.k, up=dataclasses.replace(op.k.up, out_min=value))
    )


def with_epsilon(value: int) -> Attention:
    op = attention()
    assert op.norm is not None
    return dataclasses.replace(op, norm=dataclasses.replace(op.norm, epsilon=value))


@pytest.mark.parametrize(
    ("op", "status"),
    [
        (with_key_minimum(-127), Status.OK),
        (with_key_minimum(-128), Status.BAD_VALUE),  # the kernels' pairs of keys are symmetric
        (with_epsilon(2**49 - 1), Status.OK),
        (with_epsilon(2**49), Status.BAD_VALUE),  # with the variance, more than 2**50
    ],
)
def test_the_next_value_is_refused(op: Attention, status: Status) -> None:
    options, blob = encode(op)
    assert python_status(OpKind.ATTENTION, options, blob) is status
    assert c_status(OpKind.ATTENTION, options, blob) is status


def test_words_behind_the_last_are_refused() -> None:
    """Also where the header counts them."""
    options, blob = encode(attention())
    words = np.append(np.frombuffer(options, "<i4"), np.int32(0))
    words[3] += 1
    assert words[3] == len(words)
    assert python_status(OpKind.ATTENTION, words.tobytes(), blob) is Status.TRUNCATED
    assert c_status(OpKind.ATTENTION, words.tobytes(), blob) is Status.TRUNCATED
