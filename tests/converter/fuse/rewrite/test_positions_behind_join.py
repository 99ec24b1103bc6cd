# SPDX-License-Identifier: Apache-2.0
"""Positions of several constant tokens become part of them, to the last unit."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import accuracy, opcodes, rewritten

RULE = "positions_behind_join"


def constant_like(g: PlainGraph, patches: int, count: int) -> int:
    """Tokens of the type that the joined tensor has."""
    t = g.tensors[patches]
    data = g.rng.integers(-100, 100, (1, count, 12)).astype(np.int8)
    made = g.constant(np.ones((1, count, 12)))
    g.tensors[made] = dataclasses.replace(g.tensors[made], data=data, quantization=t.quantization)
    g.values[made] = g.tensors[made].real()
    return made


def tokens(rng: np.random.Generator, before: int, after: int) -> tuple[PlainGraph, int, int]:
    """Patches between constant tokens, and positions."""
    g = PlainGraph(rng)
    x = g.input(rng.normal(0, 1, (1, 16, 16, 3)))
    patches = g.reshape(g.convolution(x, 12, 3), 1, 196, 12)
    parts = [patches]
    if before:
        parts.insert(0, constant_like(g, patches, before))
    if after:
        parts.append(constant_like(g, patches, after))
    value = np.concatenate([g.value(p) for p in parts], axis=1)
    y = g.op("CONCATENATION", parts, value, like=patches, **options("ConcatenationOptions", axis=1))
    return g, x, g.add(y, g.constant(rng.normal(0, 0.5, value.shape)))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2**32 - 1))
def test_positions_move(before: int, after: int, seed: int) -> None:
    g, x, y = tokens(np.random.default_rng(seed), before, after)
    names = opcodes(rewritten(g, y, by=RULE).graph)
    if before + after < 2:
        assert names[-1] == "ADD"
        return
    assert names[-2:] == ["ADD", "CONCATENATION"]
    found = accuracy(g, x, y, RULE)
    assert found.rewritten > found.plain - 0.5


def test_patch_embedding_takes_the_positions_of_patches() -> None:
    g, x, y = tokens(np.random.default_rng(3), 2, 0)
    result = outcome(g, x, y)
    assert result.codes == {"VitPatchEmbed": 1}
    assert [entry.name for entry in result.report.leftovers] == ["CONCATENATION"]
    assert result.fused_db > result.plain_db - 0.5
