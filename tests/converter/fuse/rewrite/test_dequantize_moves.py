# SPDX-License-Identifier: Apache-2.0
"""What only moves elements moves integers: the same numbers as in float, in every runtime."""

from __future__ import annotations

import numpy as np
import pytest

from converter.runtimes import open_runtime
from converter.tflite import Model, Operator, serialize
from tests.converter.fuse.islands import Build, island
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten

RULE = "dequantize_moves"


def padded(g: PlainGraph, x: int) -> int:
    amounts = ((0, 0), (1, 2), (0, 0))
    value = np.pad(g.value(x), amounts)
    data = np.array(amounts, np.int32)
    paddings = g.indices(0)
    t = g.tensors[paddings]
    g.tensors[paddings] = type(t)(t.name, data.shape, data.dtype, None, data)
    return g.op("PAD", [x, paddings], value, like=x, **options("PadOptions"))


MOVES: dict[str, Build] = {
    "reshape": lambda g, x: g.transpose(g.reshape(x, 1, 6, 2, 4), 0, 2, 1, 3),
    "slice": lambda g, x: g.slice(x, (0, 1, 2), (1, 4, 5)),
    "strided": lambda g, x: g.strided_slice(x, 2, 6),
    "tile": lambda g, x: g.tile(x, (1, 2, 1)),
    "pad": padded,
    "split": lambda g, x: g.concatenation(g.split(x, 2)[::-1], 1),
}


@pytest.mark.parametrize("same_type", [True, False])
@pytest.mark.parametrize("name", MOVES)
def test_integers_are_moved(name: str, same_type: bool) -> None:
    made = island(MOVES[name], (1, 6, 8))
    if same_type:
        t = made.g.tensors[made.y]
        q = made.g.tensors[made.xs[0]].quantization
        made.g.tensors[made.y] = type(t)(t.name, t.shape, t.dtype, q)
    plain = graph_of(made.g, made.y)
    graph = rewritten(made.g, made.y, by=RULE).graph
    x = np.random.default_rng(1).integers(-128, 128, (1, 6, 8)).astype(np.int8)
    (want,) = open_runtime("litert", serialize(Model(plain))).run(x)
    if name == "split":  # its join is another rule's
        assert opcodes(graph)[:3] == ["SPLIT", "DEQUANTIZE", "DEQUANTIZE"]
    else:
        assert "DEQUANTIZE" not in opcodes(graph)
    for runtime in ("reference", "tflm")[: 1 if name == "tile" else 2]:  # TFLM has no TILE
        (got,) = open_runtime(runtime, serialize(Model(graph))).run(x)
        # Where the type changes, an int8 QUANTIZE rounds ties its own way.
        assert np.abs(got.astype(int) - want).max() <= (0 if same_type else 1)


def test_other_readers_keep_the_float_tensor() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 6, 8)))
    first = len(g.tensors)
    real = g.unary("DEQUANTIZE", x, g.value(x))
    moved = g.reshape(real, 1, 48)
    bent = g.unary("TANH", real, np.tanh(g.value(real)))
    g.in_float(first)
    graph = rewritten(g, moved, bent, by=RULE).graph
    assert sorted(opcodes(graph)) == ["DEQUANTIZE", "DEQUANTIZE", "RESHAPE", "TANH"]


def test_what_nothing_reads_goes() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4)))
    y = g.gelu(x)
    g.tensors.append(type(g.tensors[x])("unread", (1, 4), np.dtype(np.float32)))
    g.operators.append(Operator("DEQUANTIZE", (x,), (len(g.tensors) - 1,)))
    assert opcodes(rewritten(g, y, by=RULE).graph) == ["GELU"]
