# SPDX-License-Identifier: Apache-2.0
"""Files with weights of TFLite's INT4, as the quantizers of TensorFlow and AI Edge write them."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converter.fuse import fuse_model
from converter.fused_ops import decoded_all
from converter.runtimes import open_runtime
from converter.tflite import TfliteError, parse, serialize
from converter.tflite.int4 import numbers
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.tflite.flatbuffer_files import pack, unpack
from tests.tflm_custom_ops.builtins import cases
from tflm_custom_ops.ops.layouts import WeightLayout

WIDTH = 8


@pytest.fixture(scope="module")
def tree():
    """A linear layer [1, 4, 8] -> 6, its weights made numbers of 4 bits in INT4."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(size=(1, 4, WIDTH)))
    return unpack(g.finish(g.linear(x, 6)))


def weights_of(tree):
    graph = tree.subgraphs[0]
    return graph.tensors[graph.operators[0].inputs[1]]


def with_int4(tree, values, per_tensor=False):
    content = unpack(pack(tree))
    w = weights_of(content)
    if per_tensor:
        graph = content.subgraphs[0]
        x, _, bias = (graph.tensors[i].quantization for i in graph.operators[0].inputs)
        w.quantization.scale, w.quantization.zeroPoint = w.quantization.scale[:1], np.zeros(1, int)
        bias.scale = np.float32([x.scale[0] * w.quantization.scale[0]])
        bias.zeroPoint = np.zeros(1, int)
    even = np.append(values.reshape(-1), np.zeros(values.size % 2, np.int8)) & 15
    content.buffers[w.buffer].data = (even[0::2] | even[1::2] << 4).astype(np.uint8)
    w.type = schema.TensorType.INT4
    return content


def small(tree, low=-7):
    rng = np.random.default_rng(1)
    return rng.integers(low, 8, tuple(weights_of(tree).shape)).astype(np.int8)


def test_two_in_a_byte_the_first_one_low():
    assert numbers(bytes([0x21, 0xF8, 0x07]), "w", (5,)).tolist() == [1, 2, -8, -1, 7]


def test_int4_weights_are_read_as_what_litert_computes_with(tree):
    values = small(tree)
    content = pack(with_int4(tree, values))
    graph = parse(content).graph
    w = graph.tensors[graph.operators[0].inputs[1]]
    assert w.dtype == np.int8
    assert np.array_equal(w.data, values)
    x = np.random.default_rng(2).integers(-128, 128, (1, 4, WIDTH)).astype(np.int8)
    litert = Interpreter(model_content=content)
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], x)
    litert.invoke()
    expected = litert.get_tensor(litert.get_output_details()[0]["index"])
    fused = fuse_model(content)
    (op,) = (op for op in decoded_all(parse(fused.model_bytes).graph) if op is not None)
    assert op.projection.up.layout is WeightLayout.QUADS4
    found = open_runtime("reference", fused.model_bytes).run(x)[0]
    assert np.abs(found.astype(int) - expected).max() <= 1  # the fused layer rounds once


@pytest.mark.parametrize("per_tensor", [False, True], ids=["channels", "tensor"])
@pytest.mark.parametrize("generate", [cases.conv_2d, cases.depthwise_conv_2d])
def test_convolutions_with_int4_weights(generate, per_tensor):
    """All 16 numbers, read as what LiteRT computes with."""
    for seed in range(3):
        case = generate(np.random.default_rng(seed))
        tree = unpack(serialize(case.model))
        values = small(tree, low=-8)
        content = pack(with_int4(tree, values, per_tensor))
        graph = parse(content).graph
        assert np.array_equal(graph.tensors[graph.operators[0].inputs[1]].data, values)
        (x,) = case.inputs
        expected = open_runtime("litert", content).run(x)[0]
        found = [open_runtime(name, content).run(x)[0] for name in ("reference", "tflm")]
        assert np.array_equal(*found)
        assert np.abs(found[0].astype(int) - expected).max() <= 1  # XNNPACK rounds floats


def test_the_number_minus_eight_keeps_a_layer_at_eight_bits(tree):
    values = small(tree)
    values[0, 0] = -8
    fused = fuse_model(pack(with_int4(tree, values))).model_bytes
    (op,) = (op for op in decoded_all(parse(fused).graph) if op is not None)
    assert op.projection.up.layout is WeightLayout.PAIRS8
    assert op.projection.up.weights.min() == -8


def test_int4_of_another_size_is_refused(tree):
    content = with_int4(tree, small(tree))
    buffer = content.buffers[weights_of(content).buffer]
    buffer.data = buffer.data[:-1]
    with pytest.raises(TfliteError, match=r"got 23 bytes of data, expected 24 .* of int4"):
        parse(pack(content))


def test_int4_activations_are_refused(tree):
    content = unpack(pack(tree))
    graph = content.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema.TensorType.INT4
    with pytest.raises(TfliteError, match="of int4, which only constants have"):
        parse(pack(content))


def test_int4_with_zero_points_is_refused(tree):
    content = with_int4(tree, small(tree))
    q = weights_of(content).quantization
    q.zeroPoint = np.full(len(q.scale), 1, np.int64)
    with pytest.raises(TfliteError, match="int4 weights without scales or with zero points"):
        parse(pack(content))
