# SPDX-License-Identifier: Apache-2.0
"""Python and the generated C parser are one rule: the same status for the same bytes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tflm_custom_ops import generators
from tests.tflm_custom_ops.kernels.comparison import INTERESTING, mutate
from tflm_custom_ops import host_library
from tflm_custom_ops.ops import OpKind, OptionsError, Status, encode, parse
from tflm_custom_ops.ops.schema.limits import LIMITS

KINDS = list(OpKind)
WORDS = st.one_of(
    st.sampled_from(INTERESTING), st.integers(-4, 1030), st.integers(-(1 << 31), (1 << 31) - 1)
)


def python_status(kind: int, options: bytes, blob: bytes) -> Status:
    try:
        parse(options, blob, kind)
    except OptionsError as error:
        return error.status
    return Status.OK


def c_status(kind: int, options: bytes, blob: bytes) -> Status:
    data = host_library.aligned_bytes(len(blob))
    data[:] = np.frombuffer(blob, np.uint8)
    words = np.frombuffer(options, np.uint8)
    params = host_library.aligned_bytes(host_library.PARAMS_BYTES)
    return Status(host_library.library().parse_into(kind, words, data, params)[0])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), extreme=st.booleans())
def test_valid_options_are_accepted(kind, seed, extreme):
    op = generators.random_op(kind, np.random.default_rng(seed), extreme=extreme)
    options, blob = encode(op)
    assert python_status(kind, options, blob) is Status.OK
    assert c_status(kind, options, blob) is Status.OK
    assert encode(parse(options, blob)) == (options, blob)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 50),
    changes=st.lists(st.tuples(st.integers(0, 200), WORDS), min_size=1, max_size=3),
    cut=st.integers(0, 24),
)
def test_one_damaged_word_gives_one_status(kind, seed, changes, cut):
    """Words replaced anywhere, header included, and now and then a shorter blob."""
    options, blob = encode(generators.random_op(kind, np.random.default_rng(seed)))
    words = np.frombuffer(options, "<i4").copy()
    for position, value in changes:
        words[position % len(words)] = value
    blob = blob[: len(blob) - 4 * cut] if cut > 16 else blob
    damaged = words.tobytes()
    assert python_status(kind, damaged, blob) is c_status(kind, damaged, blob)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_mutated_files_give_one_status(kind):
    seen = set()
    for seed in range(200):
        rng = np.random.default_rng([int(kind), seed])
        options, blob = mutate(*encode(generators.random_op(kind, rng)), rng)
        status = python_status(kind, options, blob)
        assert status is c_status(kind, options, blob), f"seed {seed}"
        seen.add(status)
    assert {Status.OK, Status.TRUNCATED, Status.BAD_MAGIC, Status.BAD_OFFSET} <= seen


EDGES = sorted(
    {edge + d for edge in (0, 2, 8, 16, 128, *LIMITS.values()) for d in (-1, 0, 1)}
    | {-127, -128, -129, -(1 << 15), -(1 << 15) - 1, 1 << 15}
    | {(1 << 17) - 1, 1 << 17, (1 << 21) - 1, 1 << 21}  # high words of 2**49 and 2**53
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_word_has_one_range(kind):
    """Each word at the edges of every limit, and next to its own value."""
    options, blob = encode(generators.random_op(kind, np.random.default_rng(3)))
    words = np.frombuffer(options, "<i4")
    accepted = 0
    for position, value in enumerate(words):
        for edge in {*EDGES, int(value) - 1, int(value) + 1}:
            changed = words.astype(np.int64)
            changed[position] = np.clip(edge, -(1 << 31), (1 << 31) - 1)
            damaged = changed.astype("<i4").tobytes()
            status = python_status(kind, damaged, blob)
            assert status is c_status(kind, damaged, blob), (position, edge)
            accepted += status is Status.OK
    assert accepted


@pytest.mark.parametrize(
    ("tokens", "first", "largest", "status"),
    [
        (256, 32767, 32767, Status.OK),  # 256 * 32767 < 2**23
        (257, 32767, 32767, Status.BAD_VALUE),
        (8388607, 1, 1, Status.BAD_DIMENSION),
        (16384, 511, 511, Status.OK),
        (16384, 512, 512, Status.BAD_VALUE),
        (2, 0, 5, Status.BAD_VALUE),  # a sum of 0
        (2, 32767, 32768, Status.BAD_VALUE),  # 16 bits
    ],
)
def test_bounds_of_the_table_of_exponentials(tokens, first, largest, status):
    op = generators.attention(np.random.default_rng(1), tokens=2, embed_dim=4, rank=0)
    table = np.full(256, first, np.uint16)
    table[7] = largest
    op = dataclasses.replace(op, tokens=tokens, key_tokens=tokens, exp_table=table)
    options, blob = encode(op)
    assert python_status(OpKind.ATTENTION, options, blob) is status
    assert c_status(OpKind.ATTENTION, options, blob) is status


def test_statuses_and_messages_are_the_same():
    for status in Status:
        message = host_library.library()._dll.vit_status_message(int(status)).decode()
        assert message
        assert (message == "ok") == (status is Status.OK)
