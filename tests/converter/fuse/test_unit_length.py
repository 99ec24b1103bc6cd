# SPDX-License-Identifier: Apache-2.0
"""L2_NORMALIZATION becomes the RMSNorm that it is but for a factor, in every runtime."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from tests.converter.fuse.plain_graph import PlainGraph, options


def _graph(shape: tuple[int, ...], scaled: bool) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(7))
    x = g.input(g.rng.normal(0, 2, shape))
    value = g.value(x) / np.linalg.norm(g.value(x), axis=-1, keepdims=True)
    y = g.op("L2_NORMALIZATION", [x], value, **options("L2NormOptions"))
    if scaled:
        y = g.mul(y, g.constant(g.rng.uniform(0.5, 1.5, shape[-1])))
    return g, x, y


@pytest.mark.parametrize(
    ("shape", "scaled"), [((1, 10), False), ((1, 7, 16), True), ((1, 2, 5, 8), False)]
)
def test_one_operator(shape: tuple[int, ...], scaled: bool) -> None:
    g, x, y = _graph(shape, scaled)
    fused = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    assert [op.name for op in parse(fused).graph.operators] == ["VitRmsNorm"]
    q = g.quantized(x)
    q.reshape(-1, shape[-1])[0] = g.tensors[x].zero_point  # a vector without a length
    want = open_runtime("reference", fused).run(q)[0]
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused).run(q)[0], want)
    t = g.tensors[y]
    real = (want.astype(float) - t.zero_point) * t.scale
    assert not np.any(real.reshape(-1, shape[-1])[0])
    rest = slice(1, None)
    off = np.abs(real - g.value(y)).reshape(-1, shape[-1])[rest]
    assert np.all(off <= 0.75 * t.scale + 0.02)
