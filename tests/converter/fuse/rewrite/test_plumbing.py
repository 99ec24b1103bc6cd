# SPDX-License-Identifier: Apache-2.0
"""Chains of views become shorter and put every element where it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse.op_semantics import evaluate
from converter.fuse.rewrite.moves import moves_for
from converter.tflite import Graph, GraphView
from tests.converter.fuse.checks import Array
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten

RULE = "plumbing"


def order(graph: Graph) -> Array:
    """Element numbers of the input, as they stand in the output."""
    size = graph.tensors[graph.inputs[0]].size
    numbers = np.arange(size).reshape(graph.tensors[graph.inputs[0]].shape)
    ops = range(len(graph.operators))
    return evaluate(GraphView(graph), list(ops), {graph.inputs[0]: numbers}, graph.outputs[0])


def random_chain(data: st.DataObject) -> tuple[PlainGraph, int]:
    g = PlainGraph(np.random.default_rng(0))
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4)))
    t = g.input(np.arange(float(np.prod(shape))).reshape(shape))
    for _ in range(data.draw(st.integers(1, 5))):
        shape = g.value(t).shape
        kind = data.draw(st.sampled_from(["reshape", "transpose", "slice"]))
        if kind == "reshape":
            cuts = data.draw(st.permutations(shape))
            whole = data.draw(st.booleans())
            t = g.reshape(t, *((g.value(t).size,) if whole else cuts))
        elif kind == "transpose":
            t = g.transpose(t, *data.draw(st.permutations(range(len(shape)))))
        else:
            begin = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
            size = tuple(
                data.draw(st.integers(1, n - b)) for n, b in zip(shape, begin, strict=True)
            )
            t = g.slice(t, begin, size)
    return g, t


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_random_chains(data: st.DataObject) -> None:
    g, y = random_chain(data)
    plain, graph = graph_of(g, y), rewritten(g, y, by=RULE).graph
    assert len(graph.operators) <= len(plain.operators)
    np.testing.assert_array_equal(order(graph), order(plain))
    assert graph.tensors[y].shape == plain.tensors[y].shape


def test_known_chains() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(np.ones((1, 4, 4, 3)))
    nchw = g.transpose(x, 0, 3, 1, 2)
    back = g.transpose(nchw, 0, 2, 3, 1)
    assert opcodes(rewritten(g, g.linear(back, 2), by=RULE).graph) == ["FULLY_CONNECTED"]
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(np.ones((1, 4, 4, 3)))
    nchw = g.transpose(x, 0, 3, 1, 2)
    tokens = g.transpose(g.reshape(nchw, 1, 3, 16), 0, 2, 1)
    assert opcodes(rewritten(g, tokens, by=RULE).graph) == ["RESHAPE"]
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(np.ones((1, 4, 4, 3)))
    turned = g.reshape(g.reshape(g.transpose(x, 0, 2, 1, 3), 16, 3), 4, 4, 3)
    assert opcodes(rewritten(g, turned, by=RULE).graph)[-2:] == ["TRANSPOSE", "RESHAPE"]
    first = g.reshape(
        g.slice(g.slice(x, (0, 0, 0, 0), (1, 2, 4, 3)), (0, 1, 0, 0), (1, 1, 4, 3)), 4, 3
    )
    assert opcodes(rewritten(g, first, by=RULE).graph)[-2:] == ["SLICE", "RESHAPE"]


@pytest.mark.parametrize("ends", [True, False], ids=["reshaped", "bare"])
@pytest.mark.parametrize("axes", [(0, 1, 3, 2, 4, 5), (0, 2, 4, 1, 3, 5), (5, 0, 1, 2, 3, 4)])
def test_six_dimensions_become_fewer(axes: tuple[int, ...], ends: bool) -> None:
    g = PlainGraph(np.random.default_rng(0))
    shape = (1, 2, 3, 2, 4, 5)
    x = g.input(np.ones((1, 6, 8, 5) if ends else shape))
    y = g.transpose(g.reshape(x, *shape) if ends else x, *axes)
    if ends:
        y = g.reshape(y, g.value(y).size)
    plain, graph = graph_of(g, y), rewritten(g, y, by=RULE).graph
    moved = [op for op in graph.operators if op.opcode == "TRANSPOSE"]
    assert len(moved) == 1
    assert len(graph.tensors[moved[0].inputs[0]].shape) <= 5
    np.testing.assert_array_equal(order(graph), order(plain))
    assert graph.tensors[y].shape == plain.tensors[y].shape


def test_wide_parts_of_a_chain_that_needs_more_dimensions() -> None:
    """From windows to a grid of strides (MaxViT): six axes in one move, five in two."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(np.ones((4, 16, 3)))
    back = g.transpose(g.reshape(x, 1, 2, 2, 4, 4, 3), 0, 1, 3, 2, 4, 5)
    y = g.transpose(g.reshape(back, 1, 4, 2, 4, 2, 3), 0, 2, 4, 1, 3, 5)
    plain, graph = graph_of(g, y), rewritten(g, y, by=RULE).graph
    ranks = [
        len(graph.tensors[op.inputs[0]].shape) for op in graph.operators if op.opcode == "TRANSPOSE"
    ]
    assert ranks
    assert max(ranks) <= 5
    np.testing.assert_array_equal(order(graph), order(plain))


@given(st.permutations(range(6)).filter(lambda axes: axes != sorted(axes)))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_any_move_of_six_dimensions_is_several_of_fewer(axes: list[int]) -> None:
    """Windows of windows (Hiera), none of whose axes stay together: TFLM has five dimensions."""
    g = PlainGraph(np.random.default_rng(0))
    y = g.transpose(g.input(np.ones((2, 3, 2, 4, 2, 3))), *axes)
    plain, graph = graph_of(g, y), rewritten(g, y, by=RULE).graph
    ranks = [
        len(graph.tensors[op.inputs[0]].shape) for op in graph.operators if op.opcode == "TRANSPOSE"
    ]
    assert max(ranks, default=0) <= 5
    assert len(ranks) <= 5
    np.testing.assert_array_equal(order(graph), order(plain))
    assert graph.tensors[y].shape == plain.tensors[y].shape


def test_a_chain_that_others_read_stays() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(np.ones((1, 4, 6)))
    a = g.transpose(x, 0, 2, 1)
    b = g.transpose(a, 0, 2, 1)
    assert len(rewritten(g, g.linear(a, 3), g.linear(b, 3), by=RULE).graph.operators) == 4
    assert len(rewritten(g, a, b, by=RULE).graph.operators) >= 2


def test_no_moves_for_what_is_no_block_and_no_transpose() -> None:
    index = np.array([0, 2, 1, 3, 5, 4])
    assert moves_for((6,), index) is None
    assert moves_for((6,), np.array([0, 2, 4])) is None
    assert moves_for((6,), np.array([5, 4, 3, 2, 1, 0])) is None
    assert moves_for((6,), np.arange(6)) == ()
