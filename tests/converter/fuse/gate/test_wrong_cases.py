# SPDX-License-Identifier: Apache-2.0
"""Networks that were fused wrongly once: what the device refuses, or computes otherwise, stays."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.fused_ops import decoded_all
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.test_patch_embedding import Spelling, embed


def runs_everywhere(content: bytes, x: np.ndarray) -> None:  # type: ignore[type-arg]
    """The file is accepted by every check, and TFLM gives what the definition gives."""
    decoded_all(parse(content).graph)
    planned = plan_model(content).model_bytes
    (expected,) = open_runtime("reference", content).run(x)
    (got,) = open_runtime("tflm", planned).run(x)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("value_dim", [2, 8])
def test_value_width_unlike_key_width(value_dim: int) -> None:
    """MultiHeadAttention with value_dim."""
    heads, tokens, key_dim, width = 2, 6, 4, 12
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, tokens, width)))
    h = g.layer_norm(x)

    def by_head(features: int) -> int:
        t = g.reshape(g.linear(h, heads * features), 1, tokens, heads, features)
        return g.transpose(t, 0, 2, 1, 3)

    q, k, v = by_head(key_dim), by_head(key_dim), by_head(value_dim)
    p = g.softmax(g.mul(g.matmul(q, k, adj_y=True), g.constant(np.array(key_dim**-0.5))))
    merged = g.transpose(g.matmul(p, v), 0, 2, 1, 3)
    y = g.add(x, g.linear(g.reshape(merged, 1, tokens, heads * value_dim), width))
    result = outcome(g, x, y)
    assert result.codes == {"VitAttention": 1}
    assert result.fused_db >= result.plain_db - 1.0


def test_reshape_behind_an_activation_is_not_part_of_it() -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, 8, 8, 6)))
    y = g.linear(g.reshape(g.gelu(x), 1, 16, 24), 5)
    result = outcome(g, x, y)
    assert result.codes == {"VitGelu": 1, "VitLinear": 1}
    assert [left.name for left in result.report.leftovers] == ["RESHAPE"]
    runs_everywhere(result.model_bytes, g.quantized(x))


def test_patch_embedding_over_the_widest() -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.uniform(-1, 1, (1, 8, 8, 2)))
    y = g.linear(embed(g, x, Spelling(width=2056)), 5)
    result = outcome(g, x, y)
    assert result.codes == {"VitLinear": 1}
    reasons = [n.reason for n in result.report.not_fused]
    assert any("would be refused" in r and "2056" in r and "2048" in r for r in reasons), reasons
    runs_everywhere(result.model_bytes, g.quantized(x))


def test_linear_layer_over_the_most_rows() -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, 16400, 2)))
    y = g.linear(x, 3)
    report = fuse_model(g.finish(y)).report
    assert report.fused == ()
    (entry,) = report.not_fused
    assert "would be refused" in entry.reason
    assert "16400" in entry.reason
    assert "16384" in entry.reason


def test_linear_layer_that_flattens() -> None:
    """A FULLY_CONNECTED may read several dimensions as one row; the operator does not."""
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, 4, 6)))
    flat = g.linear(g.reshape(x, 1, 24), 3)
    op = g.operators.pop()
    g.operators.pop()
    rows = options("FullyConnectedOptions", keepNumDims=False)
    g.operators.append(type(op)(op.opcode, (x, *op.inputs[1:]), op.outputs, **rows))
    report = fuse_model(g.finish(flat)).report
    assert report.fused == ()
    assert "would be refused: x: got int8 [1, 4, 6], expected int8 [1, 24]" in (
        report.not_fused[0].reason
    )
