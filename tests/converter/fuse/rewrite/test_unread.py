# SPDX-License-Identifier: Apache-2.0
"""What nothing reads goes, with all that was computed for it alone; outputs and inputs stay."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse import fuse_model
from tests.converter.fuse.blocks import AttentionSpelling, attention, token_input
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, result, rewritten


def test_a_chain_without_a_reader_goes() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4, 6)))
    y = g.linear(x, 5)
    g.reshape(g.linear(y, 3), 4, 3)
    graph = rewritten(g, y, by="unread").graph
    assert opcodes(graph) == ["FULLY_CONNECTED"]
    plain = dataclasses.replace(graph, operators=tuple(g.operators), tensors=tuple(g.tensors))
    np.testing.assert_array_equal(result(graph, g.quantized(x)), result(plain, g.quantized(x)))


def test_outputs_and_one_of_several_results_stay() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4, 6)))
    left, right = g.split(g.linear(x, 6), 2)
    other = g.linear(right, 2)
    assert opcodes(rewritten(g, left, other, by="unread").graph) == opcodes(graph_of(g, left))
    assert opcodes(rewritten(g, left, by="unread").graph) == ["FULLY_CONNECTED", "SPLIT"]


def test_a_reshape_for_its_shape_alone_is_not_in_the_way_of_attention() -> None:
    """As from_keras_model leaves it: the context is reshaped twice, once for nobody."""
    g = PlainGraph(np.random.default_rng(1))
    s = AttentionSpelling()
    y = attention(g, token_input(g, s.tokens, s.embed_dim), s)
    joined = next(op for op in g.operators[::-1] if op.opcode == "RESHAPE")
    g.reshape(joined.inputs[0], 1, s.tokens, s.heads * s.head_dim)
    report = fuse_model(g.finish(y)).report
    assert [f.custom_code for f in report.fused] == ["VitAttention"]
    assert not report.leftovers
