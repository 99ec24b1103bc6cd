# SPDX-License-Identifier: Apache-2.0
"""Rules in any order give one graph; operators stay in execution order and know their origin."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse.rewrite import RULES, Edit, Rule, normalize
from converter.fuse.rewrite.engine import _execution_order
from converter.tflite import GraphView, Model, Operator, serialize
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes


def tangled() -> tuple[PlainGraph, int]:
    """A graph where every rule but the softmax has work, and one's work makes another's."""
    g = PlainGraph(np.random.default_rng(5))
    x = g.input(g.rng.normal(0, 1, (1, 6, 8)))
    scaled = g.mul(g.reshape(g.linear(x, 8), 1, 6, 8), g.constant(g.rng.uniform(0.5, 1.5, 8)))
    turned = g.transpose(g.transpose(scaled, 0, 2, 1), 0, 2, 1)
    heads = [g.slice(turned, (0, 0, 4 * h), (1, 6, 4)) for h in range(2)]
    parts = [g.matmul(h, h, adj_y=True) for h in heads]
    like = g.tensors[parts[0]].quantization
    for p in parts:
        g.tensors[p] = type(g.tensors[p])(f"p{p}", g.tensors[p].shape, g.tensors[p].dtype, like)
    return g, g.reshape(g.pack(parts, 1), 1, 12, 6)


def test_order_of_the_rules_does_not_matter() -> None:
    g, y = tangled()
    graph = graph_of(g, y)
    expected = normalize(graph, RULES).graph
    assert len(expected.operators) < len(graph.operators)
    rng = np.random.default_rng(0)
    for _ in range(6):
        shuffled = [RULES[i] for i in rng.permutation(len(RULES))]
        assert opcodes(normalize(graph, shuffled).graph) == opcodes(expected)


def test_every_plain_operator_has_one_home() -> None:
    g, y = tangled()
    graph = graph_of(g, y)
    normal = normalize(graph, RULES)
    homes = {plain for origin in normal.origin for plain in origin}
    assert homes == set(range(len(graph.operators)))
    serialize(Model(normal.graph))
    last = len(normal.graph.operators) - 1
    assert normal.view.label(last).endswith(f"(op {len(graph.operators) - 1})")


def test_a_normal_graph_is_left_as_it_is() -> None:
    g, y = tangled()
    once = normalize(graph_of(g, y), RULES).graph
    again = normalize(once, RULES)
    assert again.graph is once


def test_execution_order_is_stable() -> None:
    ops = [Operator("A", (0,), (1,)), Operator("B", (3,), (2,)), Operator("C", (1,), (3,))]
    assert _execution_order(ops) == [0, 2, 1]
    assert _execution_order(ops[:1] + ops[2:]) == [0, 1]


def test_rules_without_end_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    def again(view: GraphView, op: int) -> Edit:
        return Edit((op,), (view.op(op),))

    g, y = tangled()
    wanted = normalize(graph_of(g, y), RULES)
    endless = Rule("endless", "", frozenset({wanted.graph.operators[0].name}), again)
    assert capsys.readouterr().err == ""
    found = normalize(graph_of(g, y), [*RULES, endless])
    assert [op.name for op in found.graph.operators] == [op.name for op in wanted.graph.operators]
    assert "left out endless: still changes the graph" in capsys.readouterr().err


def test_rules_have_different_names() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.summary and rule.anchors for rule in RULES)
