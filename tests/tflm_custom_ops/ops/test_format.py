# SPDX-License-Identifier: Apache-2.0
"""What the file format has room for is refused until a kernel runs it, in Python and in C."""

import dataclasses
import struct

import numpy as np
import pytest

from tests.tflm_custom_ops import generators
from tests.tflm_custom_ops.ops.test_parser_parity import KINDS, c_status, python_status
from tflm_custom_ops import host_library
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import (
    HEADER_WORDS,
    VERSION,
    OpKind,
    OptionsError,
    Status,
    decode,
    encode,
    kind_of,
    operator_of,
)
from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_custom_ops.ops.schema.struct import word_offset


def attention():
    return generators.attention(np.random.default_rng(3), tokens=6, heads=2, head_dim=4, rank=0)


def mlp():
    return generators.mlp(np.random.default_rng(3), hidden_dim=8, rank=0)


def with_word(op, word, value):
    options, blob = encode(op)
    words = bytearray(options)
    struct.pack_into("<i", words, 4 * (HEADER_WORDS + word), value)
    return bytes(words), blob


def refused(op, word, value):
    """The status that both parsers give."""
    options, blob = with_word(op, word, value)
    status = python_status(kind_of(op), options, blob)
    assert status is c_status(kind_of(op), options, blob)
    return status


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_earlier_versions_are_refused_with_the_remedy(kind):
    op = generators.random_op(kind, np.random.default_rng(1))
    assert VERSION == 4
    for version in (1, 2, 3):
        options, blob = with_word(op, 2 - HEADER_WORDS, version)
        assert c_status(kind, options, blob) is Status.BAD_VERSION
        expected = f"got version {version}, expected 4; fuse the model again"
        with pytest.raises(OptionsError, match=expected):
            decode(options, blob)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key_tokens", 7), ("norm_place", 1),
        ("window", 2), ("bias_kind", 2), ("bias_kind", 3),
        ("bias_shift", 1), ("relative_key_shift", 2),
        ("relative_value_shift", 2),
    ],
)  # fmt: skip
def test_attention_beyond_todays_kernels_is_refused(field, value):
    op = attention()
    assert refused(op, word_offset(type(op), field), value) is Status.BAD_VALUE


@pytest.mark.parametrize(
    ("field", "value"),
    [("prefix_tokens", 1), ("grid_height", 2), ("grid_width", 3), ("relative_distance", 14)],
)
def test_a_grid_without_what_it_is_for_is_refused(field, value):
    op = attention()
    assert refused(op, word_offset(type(op), field), value) is Status.BAD_DIMENSION


@pytest.mark.parametrize(("field", "value"), [("key_heads", 1), ("value_dim", 5)])
def test_projections_of_other_heads_are_refused(field, value):
    op = attention()
    assert refused(op, word_offset(type(op), field), value) is Status.BAD_DIMENSION


@pytest.mark.parametrize(
    ("field", "value"),
    [("norm_place", 1), ("gate", 1), ("gate_multiplier", 5), ("gate_shift", 1)],
)
def test_an_mlp_beyond_todays_kernels_is_refused(field, value):
    op = mlp()
    assert refused(op, word_offset(type(op), field), value) is Status.BAD_VALUE


def test_normalization_by_rms_is_another_operator_than_layer_norm():
    op = generators.layer_norm(np.random.default_rng(1))
    word = word_offset(type(op), "norm") + word_offset(type(op.norm), "kind")
    assert refused(op, word, 1) is Status.BAD_VALUE


@pytest.mark.parametrize("layout", [WeightLayout.ROWS8, WeightLayout.ROWS4])
def test_other_weight_layouts_are_refused(layout):
    op = mlp()
    up = word_offset(type(op), "fc1") + word_offset(type(op.fc1), "up")
    assert refused(op, up + word_offset(type(op.fc1.up), "layout"), layout) is Status.BAD_VALUE


def test_neutral_values_are_plain_self_attention():
    op = attention()
    assert (op.key_tokens, op.key_heads, op.value_dim) == (op.tokens, op.heads, op.head_dim)
    again = decode(*encode(dataclasses.replace(op, key_tokens=op.tokens)))
    assert encode(again) == encode(op)


def test_a_block_that_breaks_the_rule_about_sums_is_refused_where_a_file_is_read():
    rng = np.random.default_rng(5)
    op = generators.linear_op(rng, rows=2, in_features=600, out_features=4, rank=0)
    weights = np.full((4, 600), 127, np.int8)
    bias = np.zeros(4, np.int32)
    up = dataclasses.replace(
        op.projection.up, weights=weights, bias=bias, layout=WeightLayout.PAIRS8
    )
    exact = exact_k_block(weights, up.bias)

    def with_block(k_block):
        layer = dataclasses.replace(up, k_block=k_block)
        return dataclasses.replace(op, projection=dataclasses.replace(op.projection, up=layer))

    good, smaller, larger = (encode(with_block(k)) for k in (exact, exact // 2, exact + 300))
    assert decode(*good).projection.up.k_block == exact
    x = rng.integers(-128, 128, (2, 600)).astype(np.int8)
    results = [operator_of(decode(*file)).reference(x) for file in (good, smaller)]
    assert np.array_equal(*results)
    with pytest.raises(OptionsError, match="whose sums can leave 24 bits; fuse the model again"):
        decode(*larger)
    library = host_library.library()
    statuses = [library.check_sums(library.parse(with_block(k))) for k in (exact, exact + 300)]
    assert c_status(OpKind.LINEAR, *larger) is Status.OK  # the parser reads no weights
    assert statuses == [Status.OK, Status.BAD_SUMS]
