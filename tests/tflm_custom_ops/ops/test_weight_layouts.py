# SPDX-License-Identifier: Apache-2.0
"""Weights of 8 and of 4 bits in the file: what is stored, what is refused, what it costs."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tflm_custom_ops import generators
from tests.tflm_custom_ops.ops.test_parser_parity import c_status, python_status
from tflm_custom_ops import host_library
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import LinearOp, OpKind, OptionsError, Status, decode, encode, operator_of
from tflm_custom_ops.ops.layouts import (
    MAX4,
    UNIT4,
    WeightLayout,
    pack_quads,
    unpack_dual_channel,
    unpack_quads,
)
from tflm_custom_ops.ops.schema.writing import arrays_of

sizes = st.integers(1, 13)


def numbers(rng, n, k):
    return (rng.integers(-MAX4, MAX4 + 1, (n, k)) * UNIT4).astype(np.int8)


def layer(layout, n=6, k=10, seed=1):
    """An operator of one layer whose weights both layouts can hold."""
    rng = np.random.default_rng(seed)
    op = generators.linear_op(rng, rows=3, in_features=k, out_features=n, rank=0)
    weights, bias = numbers(rng, n, k), op.projection.up.bias
    up = dataclasses.replace(
        op.projection.up,
        weights=weights,
        layout=layout,
        shift=0,
        k_block=exact_k_block(weights, bias),
    )
    return LinearOp(3, op.token_tile, dataclasses.replace(op.projection, up=up))


def weight_bytes(op):
    return sum(v.nbytes for kind, v in arrays_of(op) if kind.section == "weights")


def test_pairs_come_apart_whatever_the_16_bits_are():
    """Files of others too: low + 256 * high is the number, modulo 2**16."""
    packed = np.arange(-(1 << 15), 1 << 15).astype(np.int16).reshape(256, 256)
    low, high = (unpack_dual_channel(packed, 512, 256)[i::2].astype(int) for i in range(2))
    assert np.array_equal((low + 256 * high - packed) % (1 << 16), np.zeros((256, 256)))


@given(sizes, sizes, st.integers(0, 1 << 30))
def test_quads_hold_every_number(n, k, seed):
    weights = numbers(np.random.default_rng(seed), n, k)
    packed = pack_quads(weights)
    assert packed.shape == (-(-n // 4), (k + 1) // 2 * 2)
    assert np.array_equal(unpack_quads(packed, n, k), weights)
    nibble = int(packed[n - 1 >> 2, k - 1]) >> 4 * (n - 1 & 3) & 15
    assert (nibble ^ 8) - 8 == weights[n - 1, k - 1] // UNIT4


@pytest.mark.parametrize("value", [1, -15, 127, -128, 113])
def test_weights_that_are_no_numbers_of_4_bits_are_refused(value):
    weights = np.zeros((2, 2), np.int8)
    weights[1, 0] = value
    with pytest.raises(
        OptionsError, match=rf"got {value}, expected multiples of 16 in \[-112, 112"
    ):
        pack_quads(weights)


@given(sizes, sizes, st.integers(0, 100))
def test_both_layouts_compute_the_same(n, k, seed):
    small, large = (layer(x, n, k, seed) for x in (WeightLayout.QUADS4, WeightLayout.PAIRS8))
    x = np.random.default_rng(seed).integers(-128, 128, (3, k)).astype(np.int8)
    expected = operator_of(large).reference(x)
    assert np.array_equal(operator_of(decode(*encode(small))).reference(x), expected)
    assert np.array_equal(host_library.run(small, x), expected)


def test_four_bits_are_half_the_bytes():
    small, large = (layer(x, 8, 24) for x in (WeightLayout.QUADS4, WeightLayout.PAIRS8))
    assert (weight_bytes(large), weight_bytes(small)) == (192, 96)
    assert len(encode(large)[1]) - len(encode(small)[1]) == 96
    a, b = operator_of(large), operator_of(small)
    assert (a.macs, a.scratch_bytes) == (b.macs, b.scratch_bytes)
    assert a.schedule_cost.weight_bytes == 2 * b.schedule_cost.weight_bytes
    assert a.work.instructions < b.work.instructions


def test_the_number_minus_eight_is_refused_where_a_file_is_read():
    op = layer(WeightLayout.QUADS4)
    options, blob = encode(op)
    changed = bytearray(blob)
    changed[0] = changed[0] & 0xF0 | 8
    file = options, bytes(changed)
    assert python_status(OpKind.LINEAR, *file) is c_status(OpKind.LINEAR, *file) is Status.OK
    with pytest.raises(OptionsError, match=r"got a weight of -128, expected \[-127, 127\]"):
        decode(*file)
    library = host_library.library()
    memory = host_library.aligned_bytes(len(changed))
    memory[:] = np.frombuffer(changed, np.uint8)
    parsed = library.parse_bytes(op, np.frombuffer(options, np.uint8), memory)
    assert library.check_sums(parsed) is Status.BAD_SUMS


@pytest.mark.parametrize("layout", [WeightLayout.PAIRS8, WeightLayout.QUADS4])
def test_weights_that_leave_the_blob_are_refused(layout):
    options, blob = encode(layer(layout, 8, 24))
    fits, short = blob[: len(blob)], blob[: weight_bytes(layer(layout, 8, 24)) - 16]
    assert c_status(OpKind.LINEAR, options, fits) is Status.OK
    status = python_status(OpKind.LINEAR, options, short)
    assert status is c_status(OpKind.LINEAR, options, short) is Status.BAD_OFFSET
