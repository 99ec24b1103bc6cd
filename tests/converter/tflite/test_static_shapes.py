# SPDX-License-Identifier: Apache-2.0
"""Shapes that a file leaves open, with a batch of 1: as LiteRT finds them when it runs the file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.runtimes import open_runtime
from converter.runtimes.reference import litert_interpreter
from converter.tflite import TfliteError, parse
from tests.converter.runtimes.edges import INT8, Edges
from tests.converter.tflite.flatbuffer_files import pack, unpack

Y = (0.09, 3)


def opened(content: bytes, open_batch_of: dict[int, tuple[int, ...]]) -> bytes:
    """The file with shape signatures; a computed tensor states 1 for what is open, as TF does."""
    tree = unpack(content)
    for tensor, signature in open_batch_of.items():
        raw = tree.subgraphs[0].tensors[tensor]
        raw.shapeSignature = np.array(signature, np.int32)
        raw.shape = np.array([1 if n < 0 else n for n in signature], np.int32)
    return pack(tree)


def numbers(graph: Edges, *values: int) -> int:
    data = np.array(values, np.int32)
    return graph.tensor(data.shape, np.int32, None, data)


def scalar(graph: Edges, value: int) -> int:
    return graph.tensor((), np.int32, None, np.array(value, np.int32))


def tokens_by_run_time_shape() -> bytes:
    """x [-1, 4, 6] -> its batch by SHAPE, STRIDED_SLICE, PACK -> rows [-1, -1] -> ADD -> back."""
    graph = Edges()
    x = graph.x((1, 4, 6), np.int8, INT8)
    shape = graph.op("SHAPE", (x,), (3,), np.int32, None, "ShapeOptions", outType=2)
    ends = [numbers(graph, 0), numbers(graph, 1), numbers(graph, 1)]
    batch = graph.op(
        "STRIDED_SLICE", (shape, *ends), (), np.int32, None, "StridedSliceOptions", shrinkAxisMask=1
    )
    target = graph.op(
        "PACK",
        (batch, scalar(graph, 24)),
        (2,),
        np.int32,
        None,
        "PackOptions",
        valuesCount=2,
        axis=0,
    )
    rows = graph.op("RESHAPE", (x, target), (1, 24), np.int8, INT8)
    total = graph.op("ADD", (rows, rows), (1, 24), np.int8, Y, "AddOptions")
    y = graph.op("RESHAPE", (total, numbers(graph, -1, 6)), (4, 6), np.int8, Y)
    return opened(graph.content(y), {x: (-1, 4, 6), rows: (-1, -1), total: (-1, -1), y: (-1, 6)})


def test_shapes_are_followed_and_values_are_those_of_litert():
    content = tokens_by_run_time_shape()
    graph = parse(content).graph
    assert [op.name for op in graph.operators] == ["RESHAPE", "ADD", "RESHAPE"]
    assert [graph.tensors[op.outputs[0]].shape for op in graph.operators] == [
        (1, 24),
        (1, 24),
        (4, 6),
    ]
    interpreter = litert_interpreter(content)
    runtime = open_runtime("reference", content)
    rng = np.random.default_rng(1)
    for _ in range(3):
        x = rng.integers(-128, 128, (1, 4, 6)).astype(np.int8)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_array_equal(runtime.run(x)[0], expected)


def test_a_constant_target_with_an_open_end_is_not_taken_as_stated():
    """RESHAPE to [-1, 6] states [1, 6] in the file; there are four rows."""
    graph = Edges()
    x = graph.x((1, 4, 6), np.int8, INT8)
    y = graph.op("RESHAPE", (x, numbers(graph, -1, 6)), (4, 6), np.int8, INT8)
    content = opened(graph.content(y), {x: (-1, 4, 6), y: (-1, 6)})
    assert parse(content).graph.tensors[y].shape == (4, 6)


@pytest.mark.parametrize("signature", [(1, -1, 6), (-1, -1, 6)])
def test_only_the_batch_may_be_open(signature):
    graph = Edges()
    x = graph.x((1, 4, 6), np.int8, INT8)
    y = graph.op("ADD", (x, x), (1, 4, 6), np.int8, Y, "AddOptions")
    content = opened(graph.content(y), {x: signature, y: signature})
    with pytest.raises(TfliteError, match=r"got dynamic shape .*input_signature"):
        parse(content)


def test_what_cannot_be_followed_is_refused():
    graph = Edges()
    x = graph.x((1, 4, 6), np.int8, INT8)
    computed = graph.x((1,), np.int32, None)
    y = graph.op("EXPAND_DIMS", (x, computed), (1, 4, 6, 1), np.int8, INT8)
    content = opened(graph.content(y), {x: (-1, 4, 6), y: (-1, 4, 6, 1)})
    with pytest.raises(
        TfliteError, match=r"operator 0 \(EXPAND_DIMS\): .*leaves open.*static batch"
    ):
        parse(content)


def test_a_batch_of_two_is_no_batch_of_one():
    graph = Edges()
    x = graph.x((2, 4), np.int8, INT8)
    y = graph.op("ADD", (x, x), (2, 4), np.int8, Y, "AddOptions")
    tree = unpack(graph.content(y))
    for tensor in tree.subgraphs[0].tensors[:2]:
        tensor.shapeSignature = np.array((-1, 4), np.int32)
    with pytest.raises(TfliteError, match=r"got dynamic shape \[-1, 4\]"):
        parse(pack(tree))


def test_a_shape_that_broadcasts_against_a_scalar_is_followed():
    """BROADCAST_ARGS of SHAPE and of a constant without elements, as of a scalar's shape."""
    graph = Edges()
    x = graph.x((1, 4, 6), np.int8, INT8)
    shape = graph.op("SHAPE", (x,), (3,), np.int32, None, "ShapeOptions", outType=2)
    both = graph.op("BROADCAST_ARGS", (shape, numbers(graph)), (3,), np.int32)
    wide = graph.op("BROADCAST_TO", (x, both), (1, 1, 1), np.int8, INT8, "BroadcastToOptions")
    graph.operators[-1] = dataclasses.replace(graph.operators[-1], version=2)
    y = graph.op("ADD", (wide, x), (1, 4, 6), np.int8, Y, "AddOptions")
    content = opened(graph.content(y), {x: (-1, 4, 6), wide: (-1, -1, -1), y: (-1, 4, 6)})
    found = parse(content).graph
    assert [op.name for op in found.operators] == ["BROADCAST_TO", "ADD"]
    assert found.tensors[wide].shape == (1, 4, 6)


def causal_mask_by_run_time_shape() -> bytes:
    """x [-1, 4, 4] where RANGE of its rows, less a column of positions, is at most 0."""
    graph = Edges()
    x = graph.x((1, 4, 4), np.int8, INT8)
    shape = graph.op("SHAPE", (x,), (3,), np.int32, None, "ShapeOptions", outType=2)
    ends = [numbers(graph, 1), numbers(graph, 2), numbers(graph, 1)]
    count = graph.op(
        "STRIDED_SLICE", (shape, *ends), (), np.int32, None, "StridedSliceOptions", shrinkAxisMask=1
    )
    keys = graph.op(
        "RANGE", (scalar(graph, 0), count, scalar(graph, 1)), (4,), np.int32, None, "RangeOptions"
    )
    queries = graph.tensor((4, 1), np.int32, None, np.arange(4, dtype=np.int32)[:, None])
    past = graph.op("SUB", (keys, queries), (4, 4), np.int32, None, "SubOptions")
    low = graph.op("NEG", (scalar(graph, 2),), (), np.int32, None, "NegOptions")
    seen = graph.op("LESS_EQUAL", (past, scalar(graph, 0)), (4, 4), bool, None, "LessEqualOptions")
    near = graph.op("GREATER", (past, low), (4, 4), bool, None, "GreaterOptions")
    both = graph.op("LOGICAL_AND", (seen, near), (4, 4), bool, None, "LogicalAndOptions")
    hidden = graph.tensor((), np.int8, INT8, np.array(-128, np.int8))
    y = graph.op("SELECT_V2", (both, x, hidden), (1, 4, 4), np.int8, INT8, "SelectV2Options")
    return opened(graph.content(y), {x: (-1, 4, 4), keys: (-1,), past: (4, -1), y: (-1, 4, 4)})


def test_positions_and_masks_made_of_shapes_are_constants():
    content = causal_mask_by_run_time_shape()
    (select,) = parse(content).graph.operators
    mask = parse(content).graph.tensors[select.inputs[0]].data
    np.testing.assert_array_equal(mask, np.tri(4, dtype=bool) & ~np.tri(4, k=-2, dtype=bool))
    x = np.random.default_rng(1).integers(-128, 128, (1, 4, 4)).astype(np.int8)
    interpreter = litert_interpreter(content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(open_runtime("reference", content).run(x)[0], expected)


def test_quantized_constants_are_not_added_as_integers():
    """Of integers with a scale a sum is another number."""
    graph = Edges()
    x = graph.x((1, 2), np.int8, INT8)
    a, b = (graph.tensor((2,), np.int8, INT8, np.array(v, np.int8)) for v in ([1, 2], [3, 4]))
    c = graph.op("ADD", (a, b), (2,), np.int8, INT8, "AddOptions")
    y = graph.op("ADD", (x, c), (1, 2), np.int8, INT8, "AddOptions")
    content = opened(graph.content(y), {x: (-1, 2), y: (-1, 2)})
    assert [op.name for op in parse(content).graph.operators] == ["ADD", "ADD"]
