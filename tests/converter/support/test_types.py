# SPDX-License-Identifier: Apache-2.0
"""The types that the table gives the wheel's operators: asked of the wheel, one model for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converter.runtimes.tflm.stderr_capture import StderrCapture
from converter.support.verdict import WHEEL, reasons_of
from converter.tflite import Graph, Model, Operator, Quantization, Tensor, serialize
from tests.converter.fuse.plain_graph import options

_TYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float32")
_Case = tuple[list[Any], Any, dict[str, Any]]  # operands (a shape, or a constant), result, options


def _at(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def _slices() -> _Case:
    masks = dict.fromkeys(("beginMask", "endMask", "ellipsisMask", "newAxisMask"), 0)
    opts = options("StridedSliceOptions", shrinkAxisMask=0, **masks)
    return [(1, 4), _at(0, 1), _at(1, 3), _at(1, 1)], (1, 2), opts


_TWO: tuple[list[Any], Any] = ([(1, 4), (1, 4)], (1, 4))
_CASES: dict[str, _Case] = {
    **{
        name: (*_TWO, options(f"{kind}Options"))
        for name, kind in (
            ("ADD", "Add"), ("SUB", "Sub"), ("MUL", "Mul"), ("DIV", "Div"),
            ("MAXIMUM", "MaximumMinimum"), ("MINIMUM", "MaximumMinimum"),
            ("FLOOR_DIV", "FloorDiv"), ("FLOOR_MOD", "FloorMod"), ("LESS", "Less"),
            ("EQUAL", "Equal"), ("GREATER", "Greater"), ("NOT_EQUAL", "NotEqual"),
            ("GREATER_EQUAL", "GreaterEqual"), ("LESS_EQUAL", "LessEqual"),
        )
    },
    "SELECT_V2": ([(1, 4), (1, 4), (1, 4)], (1, 4), options("SelectV2Options")),
    "GATHER": ([(4, 4), (1, 2)], (1, 2, 4), options("GatherOptions", axis=0, batchDims=0)),
    "GATHER_ND": ([(4, 4), (1, 2)], (1,), options("GatherNdOptions")),
    "CAST": ([(1, 4)], (1, 4), options("CastOptions")),
    "ABS": ([(1, 4)], (1, 4), options("AbsOptions")),
    "RESHAPE": ([(1, 4), _at(4, 1)], (4, 1), options("ReshapeOptions", newShape=[4, 1])),
    "EXPAND_DIMS": ([(1, 4), _at(0)], (1, 1, 4), options("ExpandDimsOptions")),
    "TRANSPOSE": ([(1, 4), _at(1, 0)], (4, 1), options("TransposeOptions")),
    "BROADCAST_TO": ([(1, 4), _at(3, 4)], (3, 4), options("BroadcastToOptions")),
    "SLICE": ([(1, 4), _at(0, 1), _at(1, 2)], (1, 2), options("SliceOptions")),
    "STRIDED_SLICE": _slices(),
    "UNPACK": ([(1, 4)], (4,), options("UnpackOptions", axis=0, num=1)),
    "ARG_MAX": ([(1, 4), _at(1)], (1,), options("ArgMaxOptions", outputType=2)),
    "FILL": ([_at(2, 3), ()], (2, 3), options("FillOptions")),
    "PAD": ([(1, 4), _at(0, 0, 1, 1).reshape(2, 2)], (1, 6), options("PadOptions")),
    "RESIZE_NEAREST_NEIGHBOR": (
        [(1, 2, 2, 1), _at(4, 4)], (1, 4, 4, 1), options("ResizeNearestNeighborOptions"),
    ),
}  # fmt: skip
_TRUTHS = ("LESS", "EQUAL", "GREATER", "NOT_EQUAL", "GREATER_EQUAL", "LESS_EQUAL")
# Operands that are not of the type in question.
_OWN = {("SELECT_V2", 0): "bool", ("GATHER", 1): "int32", ("GATHER_ND", 1): "int32"}
_RESULTS = {**dict.fromkeys(_TRUTHS, "bool"), "CAST": "int32", "ARG_MAX": "int32"}


def _tensor(name: str, shape: tuple[int, ...], dtype: str, scale: float = 0.1) -> Tensor:
    scaled = dtype in ("int8", "uint8", "int16")
    quantization = Quantization.per_tensor(scale, 0) if scaled else None
    return Tensor(name, shape, np.dtype(dtype), quantization)


def _graph(name: str, dtype: str, positions: str = "int32") -> Graph:
    operands, shape, opts = _CASES[name]
    tensors: list[Tensor] = []
    for place, operand in enumerate(operands):
        own = _OWN.get((name, place), dtype)
        if isinstance(operand, np.ndarray):
            tensors.append(Tensor(f"c{place}", operand.shape, operand.dtype, None, operand))
        else:
            kind = positions if own == "int32" and (name, place) in _OWN else own
            tensors.append(_tensor(f"x{place}", operand, kind))
    count = len(tensors)
    scale = 0.001 if name == "DIV" else 0.1  # it shifts coarse results too far
    tensors.append(_tensor("y", shape, _RESULTS.get(name, dtype), scale))
    op = Operator(name, tuple(range(count)), (count,), **opts)
    inputs = tuple(i for i in range(count) if tensors[i].data is None)
    return Graph(tuple(tensors), (op,), inputs, (count,))


def _runs(graph: Graph) -> bool:
    from tflite_micro.python.tflite_micro import runtime

    with StderrCapture():
        try:
            wheel = runtime.Interpreter.from_bytes(serialize(Model(graph)), arena_size=1 << 14)
            for place, tensor in enumerate(graph.inputs):
                t = graph.tensors[tensor]
                wheel.set_input(np.ones(t.shape, t.dtype), place)
            wheel.invoke()
            wheel.get_output(0)
        except (RuntimeError, ValueError):
            return False
    return True


@pytest.mark.parametrize("name", _CASES)
def test_of_each_type(name: str) -> None:
    for dtype in _TYPES:
        graph = _graph(name, dtype)
        reasons = reasons_of(WHEEL, graph)
        assert _runs(graph) == (not reasons), f"{name} of {dtype}: the table says {reasons}"


@pytest.mark.parametrize("name", ["GATHER", "GATHER_ND"])
def test_positions(name: str) -> None:
    graph = _graph(name, "int8", "int64")
    assert reasons_of(WHEEL, graph) == (f"{name} by positions of int64, it has int32",)
    assert not _runs(graph)
