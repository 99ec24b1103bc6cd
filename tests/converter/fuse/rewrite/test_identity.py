# SPDX-License-Identifier: Apache-2.0
"""Operators that do nothing go; those that do something stay."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from converter.tflite import Operator, Quantization
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, result, rewritten

Build = Callable[[PlainGraph, int], int]


def _concatenation(g: PlainGraph, x: int) -> int:
    return g.op("CONCATENATION", [x], g.value(x), like=x, **options("ConcatenationOptions", axis=1))


def _quantize(g: PlainGraph, x: int) -> int:
    return g.op("QUANTIZE", [x], g.value(x), like=x)


def _pad(g: PlainGraph, x: int, before: int = 0) -> int:
    table = np.zeros((3, 2), np.int32)
    table[1, 0] = before
    paddings = g.indices(*table.reshape(-1))
    g.tensors[paddings] = dataclasses.replace(g.tensors[paddings], shape=(3, 2), data=table)
    return g.op("PAD", [x, paddings], np.pad(g.value(x), table), like=x, **options("PadOptions"))


NOTHING: dict[str, Build] = {
    "reshape": lambda g, x: g.reshape(x, 1, 4, 6),
    "transpose": lambda g, x: g.transpose(x, 0, 1, 2),
    "slice": lambda g, x: g.slice(x, (0, 0, 0), (1, 4, 6)),
    "strided_slice": lambda g, x: g.strided_slice(x, 0, 6),
    "split": lambda g, x: g.split(x, 1)[0],
    "concatenation": _concatenation,
    "quantize": _quantize,
    "pad": _pad,
    "tile": lambda g, x: g.tile(x, (1, 1, 1)),
    "broadcast_to": lambda g, x: g.broadcast_to(x, (1, 4, 6)),
}
SOMETHING: dict[str, Build] = {
    "reshape": lambda g, x: g.reshape(x, 1, 6, 4),
    "transpose": lambda g, x: g.transpose(x, 0, 2, 1),
    "slice": lambda g, x: g.slice(x, (0, 1, 0), (1, 3, 6)),
    "strided_slice": lambda g, x: g.strided_slice(x, 1, 6),
    "quantize": lambda g, x: g.op("QUANTIZE", [x], 2.0 * g.value(x)),
    "pad": lambda g, x: _pad(g, x, 1),
    "tile": lambda g, x: g.tile(x, (1, 1, 2)),
}


def around(build: Build, at_end: bool) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4, 6)))
    y = build(g, g.linear(x, 6))
    return g, x, y if at_end else g.linear(y, 3)


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("name", NOTHING)
def test_operator_that_does_nothing_is_dropped(name: str, at_end: bool) -> None:
    g, x, y = around(NOTHING[name], at_end)
    graph = rewritten(g, y, by="identity").graph
    assert set(opcodes(graph)) == {"FULLY_CONNECTED"}
    assert graph.outputs == (y,)
    sample = g.quantized(x)
    plain = dataclasses.replace(graph, operators=tuple(g.operators), tensors=tuple(g.tensors))
    np.testing.assert_array_equal(result(graph, sample), result(plain, sample))


@pytest.mark.parametrize("name", SOMETHING)
def test_operator_that_does_something_stays(name: str) -> None:
    g, _, y = around(SOMETHING[name], True)
    assert opcodes(rewritten(g, y, by="identity").graph) == [o.opcode for o in g.operators]


def test_reshape_to_another_scale_stays() -> None:
    """It moves integers: with another scale behind it the real values change."""
    g, _, y = around(NOTHING["reshape"], True)
    other = Quantization.per_tensor(2.0 * g.tensors[y].scale, 0)
    g.tensors[y] = dataclasses.replace(g.tensors[y], quantization=other)
    assert "RESHAPE" in opcodes(rewritten(g, y, by="identity").graph)


def test_copy_of_an_input_or_of_another_output_stays() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4, 6)))
    y = g.reshape(x, 1, 4, 6)
    assert opcodes(rewritten(g, y, by="identity").graph) == ["RESHAPE"]
    hidden = g.linear(x, 6)
    z = g.reshape(hidden, 1, 4, 6)
    assert "RESHAPE" in opcodes(rewritten(g, hidden, z, by="identity").graph)


def test_fused_activation_is_something() -> None:
    g, _, y = around(_concatenation, True)
    op = g.operators[-1]
    assert isinstance(op, Operator)
    g.operators[-1] = dataclasses.replace(
        op, **options("ConcatenationOptions", axis=1, fusedActivationFunction=1)
    )
    assert "CONCATENATION" in opcodes(rewritten(g, y, by="identity").graph)


@pytest.mark.parametrize("form", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("opcode", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("rows", [4, 3])
def test_images_of_the_size_that_is_asked_for(
    opcode: str, form: tuple[bool, bool], rows: int
) -> None:
    """Keras' Resizing is in the network for pictures of other sizes; LiteRT says what it does."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4, 5, 2)))
    size = g.indices(rows, 5)
    kind = "ResizeBilinearOptions" if "LINEAR" in opcode else "ResizeNearestNeighborOptions"
    opts = options(kind, alignCorners=form[0], halfPixelCenters=form[1])
    y = g.op(opcode, [x, size], g.value(x)[:, :rows], like=x, **opts)
    z = g.op("RELU", [y], np.maximum(g.value(y), 0), like=x)
    graph = rewritten(g, z, by="identity").graph
    assert opcodes(graph) == (["RELU"] if rows == 4 else [opcode, "RELU"])
    if rows == 4:
        np.testing.assert_array_equal(
            result(graph, g.quantized(x)), result(graph_of(g, z), g.quantized(x))
        )
