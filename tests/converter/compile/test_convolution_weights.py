# SPDX-License-Identifier: Apache-2.0
"""Convolutions whose weights are numbers of 4 bits take half the bytes, where the kernels can."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter import builtins
from converter.compile.compiler import compile_graph, generated_calls
from converter.compile.convolution import convolution_constant_bytes, layout_of
from converter.compile.used import calls_of
from converter.compile.weights import WeightOrder, stored_bytes
from tests.tflm_custom_ops.builtins import cases
from tests.tflm_custom_ops.builtins.combined import separate_buffers
from tflm_custom_ops.ops.layouts import WeightLayout, pack_rows_4


def graph_of(largest: int, generate=cases.conv_2d, factor: float = 1.0):
    """A layer's graph; numbers up to `largest`, the output's scale divided by `factor`."""
    case = generate(np.random.default_rng(7))
    graph, tensors = case.model.graph, list(case.tensors)
    weights = np.random.default_rng(1).integers(-largest, largest + 1, tensors[1].shape)
    weights.flat[0] = largest
    tensors[1] = dataclasses.replace(tensors[1], data=weights.astype(np.int8))
    y = graph.outputs[0]
    q = tensors[y].quantization
    scaled = dataclasses.replace(q, scale=np.asarray(q.scale, np.float32) / np.float32(factor))
    tensors[y] = dataclasses.replace(tensors[y], quantization=scaled)
    return dataclasses.replace(graph, tensors=tuple(tensors))


def source(graph, order=WeightOrder.PAIRS) -> str:
    compiled = compile_graph(graph, separate_buffers(graph, 0), False, order=order)
    return next(f.content for f in compiled.files if f.name == "vit_model.c").decode()


@pytest.mark.parametrize("generate", [cases.conv_2d, cases.fully_connected])
@pytest.mark.parametrize(
    ("largest", "layout"), [(7, WeightLayout.QUADS4), (8, WeightLayout.PAIRS8)]
)
def test_numbers_up_to_seven_are_stored_in_quads(generate, largest, layout):
    graph = graph_of(largest, generate)
    generated = generated_calls(graph, separate_buffers(graph, 0))
    channels, *inputs = graph.tensors[1].shape
    expected = convolution_constant_bytes(channels, int(np.prod(inputs)), layout)
    assert generated.added_bytes == (expected,)
    is_small = layout is WeightLayout.QUADS4
    assert ("vit_quads4" in source(graph)) is is_small
    (call,) = calls_of(graph, [None])
    assert ("vit_quads4" in call.functions) is is_small


def test_the_helium_kernels_have_rows_of_as_many_bits():
    graph = graph_of(7)
    channels, *inputs = graph.tensors[1].shape
    generated = generated_calls(graph, separate_buffers(graph, 0), WeightOrder.ROWS)
    rows = pack_rows_4(np.zeros((channels, int(np.prod(inputs))), np.int8))
    expected = stored_bytes(rows.size) + 3 * stored_bytes(4 * channels)
    assert generated.added_bytes == (expected,)
    assert "vit_quads4" in source(graph, WeightOrder.ROWS)
    assert "vit_quads4" not in source(graph_of(8), WeightOrder.ROWS)


def test_a_factor_above_one_keeps_a_layer_at_eight_bits():
    graph = graph_of(7, factor=1e4)
    op = builtins.params_of(graph.tensors, graph.operators[0])
    assert op.shift.max() > 0
    assert layout_of(op) is WeightLayout.PAIRS8


def test_sums_that_sixteen_times_leave_32_bits_keep_a_layer_at_eight():
    graph = graph_of(7)
    op = builtins.params_of(graph.tensors, graph.operators[0])
    assert layout_of(op) is WeightLayout.QUADS4
    far = np.full_like(op.bias, 1 << 27)
    assert layout_of(dataclasses.replace(op, bias=far)) is WeightLayout.PAIRS8
