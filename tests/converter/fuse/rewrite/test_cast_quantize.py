# SPDX-License-Identifier: Apache-2.0
"""An image of bytes that the network itself scales is read as what it is, in every runtime."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from tests.converter.runtimes.edges import Edges


def bytes_to_numbers(scale: tuple[float, int], also: bool = False) -> bytes:
    g = Edges()
    x = g.x((1, 16, 16, 1), np.uint8)
    real = g.op("CAST", (x,), (1, 16, 16, 1), np.float32, None, "CastOptions")
    h = g.quantize(real, np.int8, scale)
    twice = (2 * scale[0], scale[1])
    y = g.op("ADD", (h, h), (1, 16, 16, 1), np.int8, twice, "AddOptions")
    return g.content(y, *((real,) if also else ()))


@pytest.mark.parametrize("scale", [(1.0, -128), (0.9, -128), (2.0, -3)])
def test_bytes_are_one_quantize(scale: tuple[float, int]) -> None:
    content = bytes_to_numbers(scale)
    x = parse(content).graph.tensors[0]
    assert (x.scale, x.zero_point) == (1.0, 0)
    fused = plan_model(fuse_model(content).model_bytes).model_bytes
    assert [op.name for op in parse(fused).graph.operators] == ["QUANTIZE", "ADD"]
    every = np.arange(256).astype(np.uint8).reshape(1, 16, 16, 1)
    want = open_runtime("litert", content).run(every)[0].astype(int)
    first = open_runtime("reference", fused).run(every)[0]
    assert np.max(np.abs(first.astype(int) - want)) <= 1  # float and integers round apart
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused).run(every)[0], first, name)


def test_numbers_that_something_else_reads_stay() -> None:
    graph = parse(fuse_model(bytes_to_numbers((1.0, -128), also=True)).model_bytes).graph
    assert [op.name for op in graph.operators] == ["CAST", "QUANTIZE", "ADD"]
