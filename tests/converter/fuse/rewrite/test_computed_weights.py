# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED with computed weights is BATCH_MATMUL, to the last bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.tflite import Tensor
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, result, rewritten

RULE = "computed_weights"


def product(g: PlainGraph, a: int, b: int, *more: int, activation: int = 0) -> int:
    """FULLY_CONNECTED of two activations: a . b^T."""
    return g.op(
        "FULLY_CONNECTED",
        [a, b, *more],
        g.value(a) @ g.value(b).T,
        **options("FullyConnectedOptions", fusedActivationFunction=activation, keepNumDims=True),
    )


def operands(shape: tuple[int, ...]) -> tuple[PlainGraph, int, int, int]:
    """x, a tensor of `shape` [..., 6] made of it, and weights [5, 6] made of it."""
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (5, 6)))
    return g, x, g.reshape(g.linear(x, 6), *shape), g.linear(x, 6)


@pytest.mark.parametrize("shape", [(5, 6), (1, 5, 6), (1, 1, 5, 6), (5, 1, 6)])
def test_product_of_two_activations(shape: tuple[int, ...]) -> None:
    g, x, a, b = operands(shape)
    y = product(g, a, b)
    plain, graph = graph_of(g, y), rewritten(g, y, by=RULE).graph
    assert opcodes(graph).count("BATCH_MATMUL") == 1
    assert opcodes(graph).count("FULLY_CONNECTED") == 2  # those with constant weights
    sample = g.quantized(x)
    error = result(graph, sample).astype(int) - result(plain, sample).astype(int)
    assert np.max(np.abs(error)) <= 1  # the kernels round their products differently
    assert graph.tensors[y].shape == plain.tensors[y].shape


def test_bias_or_activation_keeps_the_layer() -> None:
    for activation, bias, names in ((1, 0, 0), (0, 7, 0), (0, 0, 1)):
        g, _, a, b = operands((5, 6))
        zero = np.full(5, bias, np.int32)
        index = g._add(Tensor("bias", (5,), zero.dtype, g.tensors[a].quantization, zero), zero)
        y = product(g, a, b, index, activation=activation)
        assert opcodes(rewritten(g, y, by=RULE).graph).count("BATCH_MATMUL") == names


def test_other_types_keep_the_layer() -> None:
    g, _, a, b = operands((5, 6))
    y = product(g, a, b)
    g.tensors[y] = dataclasses.replace(g.tensors[y], dtype=np.dtype(np.int16))
    assert "BATCH_MATMUL" not in opcodes(rewritten(g, y, by=RULE).graph)
