# SPDX-License-Identifier: Apache-2.0
"""The order in which operators run: what moves, what it gains, and that nothing else changes."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from converter.plan import plan_graph
from converter.plan.order import execution_order
from converter.plan.weightless import weightless_graph
from converter.tflite import Graph, GraphView, Operator, Tensor
from keras_models.load import resolve_arch

INT8 = np.dtype(np.int8)


def reordered(graph: Graph) -> Graph:
    operators = tuple(graph.operators[i] for i in execution_order(graph))
    return dataclasses.replace(graph, operators=operators)


def live_bytes(graph: Graph) -> list[int]:
    """Of each operator, without overwriting; another way to count than the code's."""
    view, found = GraphView(graph), []
    for step in range(len(graph.operators)):
        total = 0
        for i, tensor in enumerate(graph.tensors):
            if tensor.is_constant:
                continue
            made = view.producer(i)
            first = -1 if made is None else made
            last = max((*view.consumers(i), first))
            if i in graph.outputs:
                last = len(graph.operators)
            total += tensor.nbytes * (first <= step <= last)
        found.append(total)
    return found


def computed_beside(graph: Graph) -> int:
    """Live bytes beside convolutions, times their multiply-accumulates."""
    total = 0
    for op, live in zip(graph.operators, live_bytes(graph), strict=True):
        if op.name == "CONV_2D":
            y, weights = graph.tensors[op.outputs[0]], graph.tensors[op.inputs[1]]
            total += live * y.size * weights.size // y.shape[-1]
    return total


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Convolutions and additions of any earlier maps; every map that nobody reads is an output."""
    tensors = [Tensor("image", (1, 4, 4, 16), INT8)]
    maps, operators = [0], []
    for number in range(draw(st.integers(1, 8))):
        shape = (1, 4, 4, 16 * draw(st.integers(1, 4)))
        reads = [draw(st.sampled_from(maps))]
        name = draw(st.sampled_from(("CONV_2D", "CONV_2D", "ADD")))
        if name == "ADD":
            reads.append(draw(st.sampled_from(maps)))
        else:
            reads.append(len(tensors))
            weights = np.zeros((shape[-1], 1, 1, tensors[reads[0]].shape[-1]), np.int8)
            tensors.append(Tensor(f"weights{number}", weights.shape, INT8, data=weights))
        operators.append(Operator(name, tuple(reads), (len(tensors),)))
        maps.append(len(tensors))
        tensors.append(Tensor(f"map{number}", shape, INT8))
    read = {i for op in operators for i in op.inputs}
    outputs = tuple(i for i in maps[1:] if i not in read)
    return Graph(tuple(tensors), tuple(operators), (0,), outputs)


@given(graphs())
def test_an_order_is_valid_and_never_worse(graph):
    order = execution_order(graph)
    assert sorted(order) == list(range(len(graph.operators)))
    after = reordered(graph)
    written = set(graph.inputs)
    for op in after.operators:
        assert all(i in written or graph.tensors[i].is_constant for i in op.inputs)
        written.update(op.outputs)
    before = (max(live_bytes(graph)), computed_beside(graph))
    assert (max(live_bytes(after)), computed_beside(after)) <= before
    assert (order == tuple(sorted(order))) or (
        (max(live_bytes(after)), computed_beside(after)) < before
    )


@given(graphs())
def test_only_convolutions_move(graph):
    rest = [i for i in execution_order(graph) if graph.operators[i].name == "ADD"]
    assert rest == sorted(rest)


def test_a_shortcut_runs_before_the_convolution_that_needs_scratch():
    """hybrid_32: the input of its first block dies before the block's second convolution."""
    graph, ops = weightless_graph(resolve_arch("hybrid_32"))
    kernels = [
        graph.tensors[op.inputs[1]].shape[1] for op in graph.operators if op.name == "CONV_2D"
    ]
    assert kernels == [3, 3, 1, 3, 3, 3, 3, 1, 3]  # 1: the shortcuts
    assert live_bytes(graph)[:5] == [35_840, 45_056, 57_344, 36_864, 36_864]
    assert plan_graph(graph, ops)[1].arena_bytes == (57_344,)


def test_what_keeps_values_between_runs_stays():
    graph, _ = weightless_graph(resolve_arch("hybrid_32"))
    swapped = [0, 1, 3, 2, *range(4, len(graph.operators))]  # as the converter writes it
    written = dataclasses.replace(graph, operators=tuple(graph.operators[i] for i in swapped))
    assert execution_order(written)[:4] == (0, 1, 3, 2)
    variable = Tensor("state", (1,), INT8, is_variable=True)
    kept = dataclasses.replace(written, tensors=(*written.tensors, variable))
    assert execution_order(kept) == tuple(range(len(kept.operators)))
