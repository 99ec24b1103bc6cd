# SPDX-License-Identifier: Apache-2.0
"""Operators of images and positions: what the gate evaluates is what LiteRT computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from converter.fuse.gate import PlainGraph
from converter.fuse.gate.plain import to_integers, to_real
from converter.runtimes.reference import litert_interpreter
from converter.tflite import Graph, GraphView, Model, Operator, Quantization, Tensor, serialize
from converter.tflite.operator_table import TABLE
from tests.converter.fuse.plain_graph import options

Array = np.ndarray[Any, Any]
_RNG = np.random.default_rng(5)


def _f(*shape: int) -> Array:
    return _RNG.standard_normal(shape).astype(np.float32)


def _i(*values: Any) -> Array:
    return np.array(values[0] if len(values) == 1 else values, np.int32)


def _resize(kind: str, corners: bool, half: bool) -> dict[str, Any]:
    return options(kind, alignCorners=corners, halfPixelCenters=half)


_FLAGS = ((False, False), (True, False), (False, True))
_RESIZES = [
    (name, [_f(2, *size), _i(out)], _resize(f"{kind}Options", corners, half))
    for name, kind in (
        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor"),
        ("RESIZE_BILINEAR", "ResizeBilinear"),
    )
    for corners, half in _FLAGS
    for size, out in (((5, 4, 3), (8, 8)), ((8, 6, 2), (3, 4)), ((1, 3, 1), (4, 1)))
]
_CONVS = [
    (
        "TRANSPOSE_CONV",
        [_i(shape), _f(3, *kernel, 4), _f(1, *size, 4), _f(3)],
        options("TransposeConvOptions", padding=padding, strideH=strides[0], strideW=strides[1]),
    )
    for shape, kernel, size, padding, strides in (
        ((1, 8, 6, 3), (2, 2), (4, 3), 1, (2, 2)),
        ((1, 8, 6, 3), (3, 3), (4, 3), 0, (2, 2)),
        ((1, 7, 5, 3), (3, 4), (4, 2), 0, (2, 3)),
        ((1, 6, 7, 3), (1, 2), (3, 3), 1, (2, 2)),
        ((1, 5, 5, 3), (3, 3), (3, 3), 1, (1, 1)),
    )
]
_REDUCE = options("ReducerOptions", keepDims=True)
_CASES = [
    *_RESIZES,
    *_CONVS,
    ("SPACE_TO_DEPTH", [_f(2, 4, 6, 3)], options("SpaceToDepthOptions", blockSize=2)),
    ("DEPTH_TO_SPACE", [_f(2, 3, 2, 8)], options("DepthToSpaceOptions", blockSize=2)),
    ("MIRROR_PAD", [_f(3, 4), _i([[1, 2], [0, 3]])], options("MirrorPadOptions", mode=0)),
    ("MIRROR_PAD", [_f(3, 4), _i([[3, 1], [4, 0]])], options("MirrorPadOptions", mode=1)),
    ("ONE_HOT", [_i([[0, 2], [3, 7]]), _i(4), np.float32(2), np.float32(-1)],
     options("OneHotOptions", axis=-1)),
    ("ONE_HOT", [_i(1, 0, 2), _i(3), np.float32(1), np.float32(0)],
     options("OneHotOptions", axis=0)),
    ("ARG_MAX", [_f(3, 5), _i(1)], options("ArgMaxOptions", outputType=2)),
    ("ARG_MIN", [_f(3, 5, 2), _i(-2)], options("ArgMinOptions", outputType=2)),
    ("TOPK_V2", [_f(3, 6), _i(4)], options("TopKV2Options")),
    ("REVERSE_V2", [_f(3, 5, 2), _i([1])], options("ReverseV2Options")),
    ("DYNAMIC_UPDATE_SLICE", [_f(4, 5), _f(2, 3), _i(3, -1)],
     options("DynamicUpdateSliceOptions")),
    ("REDUCE_MIN", [_f(3, 4, 2), _i([0, 2])], _REDUCE),
    ("REDUCE_PROD", [_f(3, 4), _i([1])], _REDUCE),
    ("REDUCE_ALL", [_RNG.random((3, 4)) < 0.7, _i([1])], _REDUCE),
    ("REDUCE_ANY", [_RNG.random((3, 4)) < 0.3, _i([1])], _REDUCE),
    ("ZEROS_LIKE", [_f(3, 4)], options("ZerosLikeOptions")),
    ("ADD_N", [_f(3, 4), _f(3, 4), _f(3, 4)], options("AddNOptions")),
]  # fmt: skip
# Operands that say what shape the result has.
_FIXED = {"RESIZE_NEAREST_NEIGHBOR": 1, "RESIZE_BILINEAR": 1, "MIRROR_PAD": 1, "REVERSE_V2": 1,
          "ARG_MAX": 1, "ARG_MIN": 1}  # fmt: skip
_SHAPES = {"TRANSPOSE_CONV": 0, "ONE_HOT": 1, "TOPK_V2": 1, **_FIXED}
# Of the results, where they are not float32.
_TYPES = {"ARG_MAX": "i", "ARG_MIN": "i", "TOPK_V2": "fi", "REDUCE_ALL": "?", "REDUCE_ANY": "?"}
# LiteRT's reference kernels are registered for the first version alone.
_FIRST = ("ARG_MAX", "ARG_MIN", "DEPTH_TO_SPACE")


def _graph(name: str, operands: list[Any], opts: dict[str, Any], results: list[Array]) -> Graph:
    """One operator; what the shape rests on is constant, all else an input."""
    tensors: list[Tensor] = []
    for place, value in enumerate(operands):
        v = np.asarray(value)
        constant = place == (1 if name.startswith("REDUCE") else _SHAPES.get(name))
        tensors.append(Tensor(f"x{place}", v.shape, v.dtype, None, v if constant else None))
    count = len(tensors)
    tensors += [Tensor(f"y{k}", r.shape, r.dtype, None) for k, r in enumerate(results)]
    ends = tuple(range(count, len(tensors)))
    version = 1 if name in _FIRST else TABLE[name].version
    op = Operator(name, tuple(range(count)), ends, version=version, **opts)
    inputs = tuple(i for i in range(count) if tensors[i].data is None)
    return Graph(tuple(tensors), (op,), inputs, ends)


def _litert(graph: Graph, operands: list[Any]) -> list[Array]:
    interpreter = litert_interpreter(serialize(Model(graph)))
    for detail, i in zip(interpreter.get_input_details(), graph.inputs, strict=True):
        interpreter.set_tensor(detail["index"], np.asarray(operands[i]))
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


@pytest.mark.parametrize(("name", "operands", "opts"), _CASES, ids=[c[0] for c in _CASES])
def test_as_litert(name: str, operands: list[Any], opts: dict[str, Any]) -> None:
    blank = _graph(name, operands, opts, [np.zeros(1, t) for t in _TYPES.get(name, "f")])
    want = _litert(blank, operands)
    graph = _graph(name, operands, opts, want)
    plain = PlainGraph(GraphView(graph))
    values = {i: np.asarray(operands[i]) for i in graph.inputs}
    plain.run([0], values)
    for tensor, result in zip(graph.outputs, want, strict=True):
        assert values[tensor].shape == result.shape
        np.testing.assert_allclose(values[tensor], result, rtol=1e-5, atol=1e-5)


def test_one_hot_copies_integers() -> None:
    """TensorFlow's converter gives a 0 a scale of its own; kernels copy it as it stands."""
    q = [Quantization.per_tensor(*v) for v in ((1 / 255, -128), (4e-9, 0))]
    values: list[Array] = [_i(1, 0), _i(2), np.array(127, np.int8), np.array(0, np.int8)]
    graph = _graph("ONE_HOT", values, options("OneHotOptions", axis=-1), [np.zeros(1, np.int8)])
    tensors = list(graph.tensors)
    for place, quantization in ((2, q[0]), (3, q[1]), (4, q[0])):
        tensors[place] = dataclasses.replace(tensors[place], quantization=quantization)
    tensors[4] = dataclasses.replace(tensors[4], shape=(2, 2))
    graph = dataclasses.replace(graph, tensors=tuple(tensors))
    (want,) = _litert(graph, values)
    plain = PlainGraph(GraphView(graph))
    real: dict[int, Array] = {
        0: values[0],
        2: to_real(tensors[2], values[2]),
        3: to_real(tensors[3], values[3]),
    }
    plain.run([0], real)
    np.testing.assert_array_equal(to_integers(tensors[4], real[4]), want)
    assert want.tolist() == [[0, 127], [127, 0]]
