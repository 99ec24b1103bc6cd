# SPDX-License-Identifier: Apache-2.0
"""Relative keys and values as AutoFormer and MCUFormer have them become part of the block."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.tflite import parse
from tests.converter.fuse.blocks import token_input
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import Array, PlainGraph
from tflm_custom_ops.ops import Attention, decode
from tflm_custom_ops.ops.attention.relative import relative_entries


@dataclasses.dataclass(frozen=True)
class Spelling:
    """How relative position is written, and on which grid.

    Attributes:
      prefix, height, width, distance: tokens before the grid, the grid, and where it is clipped.
      keys, values: what there is of both.
      scaled: where 1/sqrt(head_dim) is multiplied: "sum" of the scores, "both" addends or "q".
      four: products with constants have four dimensions, as an einsum leaves them.
    """

    prefix: int = 1
    height: int = 2
    width: int = 3
    distance: int = 2
    heads: int = 2
    head_dim: int = 5
    keys: bool = True
    values: bool = True
    scaled: str = "sum"
    four: bool = False

    @property
    def tokens(self) -> int:
        return self.prefix + self.height * self.width


def pairs(s: Spelling, rng: np.random.Generator) -> Array:
    """Vectors [tokens, tokens, head_dim] as AutoFormer's RelativePosition2D makes them."""
    places, far = np.arange(s.tokens - s.prefix), s.distance
    tables = rng.normal(0, 1, (2, 2 * far + 2, s.head_dim))
    vectors = np.zeros((s.tokens, s.tokens, s.head_dim))
    for table, at in zip(tables, (places // s.width, places % s.width), strict=True):
        entry = np.clip(at[None, :] - at[:, None], -far, far) + far + 1
        vectors += table[np.pad(entry, ((s.prefix, 0), (s.prefix, 0)))]
    return vectors


def block(g: PlainGraph, x: int, s: Spelling, vectors: tuple[Array, Array]) -> int:
    t, h, n = s.tokens, s.heads, s.head_dim
    norm, scale = g.layer_norm(x), g.constant(np.array(n**-0.5))

    def by_head(y: int) -> int:
        return g.transpose(g.reshape(y, 1, t, h, n), 0, 2, 1, 3)

    def by_token(y: int) -> int:
        turned = g.transpose(y, 2, 0, 1, 3)
        return turned if s.four else g.reshape(turned, t, h, -1)

    def back(y: int) -> int:
        if s.four:
            return g.transpose(y, 1, 2, 0, 3)
        return g.reshape(g.transpose(y, 1, 0, 2), 1, h, t, -1)

    def constant(y: Array) -> int:
        return g.constant(y[:, None] if s.four else y)

    q, k, v = (by_head(g.linear(norm, h * n, std)) for std in (1.0, 1.0, 1.0))
    if s.scaled == "q":
        q = g.mul(q, scale)
    scores = g.matmul(q, k, adj_y=True)
    if s.keys:
        relative = back(g.matmul(by_token(q), constant(vectors[0]), adj_y=True))
        if s.scaled == "both":
            scores, relative = g.mul(scores, scale), g.mul(relative, scale)
        scores = g.add(relative, scores)
    p = g.softmax(g.mul(scores, scale) if s.scaled == "sum" else scores)
    context = g.matmul(p, v)
    if s.values:
        context = g.add(context, back(g.matmul(by_token(p), constant(vectors[1]))))
    merged = g.reshape(g.transpose(context, 0, 2, 1, 3), 1, t, h * n)
    return g.add(x, g.linear(merged, g.value(x).shape[-1]))


@settings(max_examples=8, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
@given(
    st.builds(
        Spelling,
        prefix=st.integers(0, 2),
        height=st.integers(1, 3),
        width=st.integers(2, 4),
        distance=st.integers(1, 4),
        keys=st.booleans(),
        values=st.booleans(),
        scaled=st.sampled_from(["sum", "both", "q"]),
        four=st.booleans(),
    ),
    st.integers(0, 2**32 - 1),
)
def test_relative_position(s: Spelling, seed: int) -> None:
    if not s.keys and s.scaled == "both":
        s = dataclasses.replace(s, scaled="sum")
    g = PlainGraph(np.random.default_rng(seed))
    x = token_input(g, s.tokens, 12)
    result = outcome(g, x, block(g, x, s, (pairs(s, g.rng), pairs(s, g.rng))))
    assert result.codes == {"VitAttention": 1}, result.report.not_fused
    assert result.report.ops_after == 1
    assert result.fused_db > min(30.0, result.plain_db - 1.0)


def test_the_tables_are_those_of_the_network() -> None:
    s = Spelling(prefix=1, height=3, width=3, distance=14, head_dim=6)
    g = PlainGraph(np.random.default_rng(5))
    x = token_input(g, s.tokens, 12)
    vectors = pairs(s, g.rng), pairs(s, g.rng)
    graph = parse(fuse_model(g.finish(block(g, x, s, vectors))).model_bytes).graph
    (op,) = graph.operators
    fused = decode(op.custom_options, graph.tensors[op.inputs[1]].data.tobytes())
    assert isinstance(fused, Attention)
    assert (fused.prefix_tokens, fused.grid_height, fused.grid_width) == (1, 3, 3)
    assert fused.relative_distance == 2  # no two tokens are farther apart
    # All entries but those of the prefix, in units that cancel in a correlation.

    for wanted, table in zip(vectors, (fused.relative_keys, fused.relative_values.T), strict=True):
        rows, columns = relative_entries(fused)
        got = table[rows].astype(float) + table[columns]
        assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.9995


def _other_query(g: PlainGraph, x: int, s: Spelling) -> int:
    vectors = pairs(s, g.rng)
    vectors[1, 2] += 0.5
    return block(g, x, s, (vectors, pairs(s, g.rng)))


def _transposed(g: PlainGraph, x: int, s: Spelling) -> int:
    """By the distance from key to query in the plane, not by rows and columns."""
    at = np.indices((s.height, s.width)).reshape(2, -1).T
    far = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
    vectors = np.cos(far[..., None] * np.arange(1, s.head_dim + 1))
    return block(g, x, s, (vectors, vectors))


@pytest.mark.parametrize(
    ("make", "reason"),
    [(_other_query, "not by row and column distance"), (_transposed, "no sums by row")],
)
def test_other_constants_for_pairs_are_refused(make, reason) -> None:  # type: ignore[no-untyped-def]
    s = Spelling(prefix=0, height=3, width=3)
    g = PlainGraph(np.random.default_rng(2))
    x = token_input(g, s.tokens, 12)
    report = fuse_model(g.finish(make(g, x, s))).report
    assert not any(f.custom_code == "VitAttention" for f in report.fused)
    assert any(reason in n.reason for n in report.not_fused)
