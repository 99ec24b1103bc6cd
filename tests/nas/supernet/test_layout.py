# SPDX-License-Identifier: Apache-2.0
"""Places of weights: the leading part of every size, heads and their numbers apart."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from keras_models.arch import ArchConfig
from nas.supernet.layout import PARTS, Sizes, places

SIZES = st.builds(Sizes, st.just(4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 8))


def matrix(part, sizes):
    """A linear layer whose numbers say what they are: (row, column), heads spelled out."""
    tokens = [("x", i) for i in range(sizes.dim)]
    hidden = [("h", i) for i in range(sizes.hidden)]
    heads = [(h, i) for h in range(sizes.heads) for i in range(sizes.head_dim)]
    rows, columns = {
        "qkv": (tokens, [(third, *each) for third in "qkv" for each in heads]),
        "proj": (heads, tokens),
        "fc1": (tokens, hidden),
        "fc2": (hidden, tokens),
    }[part]
    return [[(row, column) for column in columns] for row in rows]


@given(st.sampled_from(PARTS), SIZES, SIZES)
def test_a_network_has_the_same_numbers_in_every_supernet(part, whole, other):
    used = whole.common(other)
    for each in (whole, other):
        rows, columns = places(part, each, used)
        held = matrix(part, each)
        assert [[held[r][c] for c in columns] for r in rows] == matrix(part, used)


@given(SIZES)
def test_sizes_are_those_of_the_architecture(sizes):
    arch = ArchConfig.uniform(
        depth=2, heads=sizes.heads, mlp_ratio=sizes.hidden / 4, head_dim=sizes.head_dim,
        embed_dim=4, image_size=8, patch_size=4,
    )  # fmt: skip
    assert Sizes.of(arch, 1) == sizes
    for part, (inputs, outputs, _) in zip(PARTS, arch.block_linears(1), strict=True):
        rows, columns = places(part, sizes, sizes)
        assert rows.tolist() == list(range(inputs))
        assert columns.tolist() == list(range(outputs))
    assert dataclasses.astuple(sizes.common(sizes)) == dataclasses.astuple(sizes)
    assert np.unique(columns).size == outputs
