# SPDX-License-Identifier: Apache-2.0
"""Layers that training with fake quantization leaves in float: int8 layers, within a unit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Model, serialize
from tests.converter.fuse.islands import Island, in_float, island
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten

RULE = "float_layers"
SHAPE = (1, 6, 8)
Build = Callable[[PlainGraph, int], int]


def _dense(per_channel: bool = True, bias: bool = True, activation: str = "NONE") -> Build:
    def build(g: PlainGraph, x: int) -> int:
        return g.linear(x, 5, per_channel=per_channel, bias=bias, activation=activation)

    return build


def _tfmot(g: PlainGraph, x: int) -> int:
    """Tensordot: the bias is added behind a RESHAPE."""
    h = g.linear(x, 5, per_channel=False, bias=False)
    h = g.add(g.reshape(h, 6, 5), g.constant(g.rng.normal(0, 0.1, 5)))
    return g.op("RELU", [h], np.maximum(g.value(h), 0.0))


BUILDS: dict[str, Build] = {
    "of one step": _dense(per_channel=False),
    "of a step an output": _dense(),
    "without a bias": _dense(bias=False),
    "with an activation": _dense(activation="RELU"),
    "of tfmot": _tfmot,
}


def _results(made: Island, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(of the float layer, of the integer one, its operators)."""
    graph = rewritten(made.g, made.y, by=RULE).graph
    x = np.random.default_rng(seed).integers(-128, 128, SHAPE).astype(np.int8)
    (want,) = open_runtime("reference", serialize(Model(graph_of(made.g, made.y)))).run(x)
    (got,) = open_runtime("reference", serialize(Model(graph))).run(x)
    return want, got, opcodes(graph)


@pytest.mark.parametrize("kind", BUILDS)
def test_integers_within_a_unit(kind: str) -> None:
    for seed in range(4):
        want, got, names = _results(island(BUILDS[kind], SHAPE, seed=seed), seed)
        assert set(names) <= {"FULLY_CONNECTED", "RESHAPE", "DEQUANTIZE"}
        off = np.abs(got.astype(int) - want)
        assert off.max() <= 1
        assert np.mean(off) <= 0.1


def _changed(made: Island, name: str, by: float) -> Island:
    """With a number of the constant between its steps."""
    g = made.g
    (index,) = (i for i, t in enumerate(g.tensors) if t.name == name)
    data = g.tensors[index].data
    assert data is not None
    data = data.copy()
    data.flat[3] += by
    g.tensors[index] = dataclasses.replace(g.tensors[index], data=data)
    return made


def test_weights_beside_their_steps_stay() -> None:
    made = _changed(island(_dense(), SHAPE), "w", 0.0007)
    assert "QUANTIZE" in opcodes(rewritten(made.g, made.y, by=RULE).graph)


def test_a_branch_behind_the_layer_stays() -> None:
    def build(g: PlainGraph, x: int) -> int:
        h = g.linear(x, 8)
        return g.mul(h, h)

    made = island(build, SHAPE)
    assert "QUANTIZE" in opcodes(rewritten(made.g, made.y, by=RULE).graph)


def test_behind_a_norm_in_float() -> None:
    """A LayerNorm that nobody annotated: it and its layer are fused, and run everywhere."""
    g = PlainGraph(np.random.default_rng(2))
    x = g.linear(g.input(g.rng.normal(0, 1.0, SHAPE)), 8)
    y = in_float(g, lambda g, x: _tfmot(g, g.layer_norm(x)), x)
    result = fuse_model(g.finish(y))
    assert [op.custom_code for op in result.report.fused] == [
        "VitLinear",
        "VitLayerNorm",
        "VitLinear",
    ]
    content = plan_model(result.model_bytes).model_bytes
    q = np.random.default_rng(0).integers(-128, 128, SHAPE).astype(np.int8)
    (want,) = open_runtime("reference", content).run(q)
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, content).run(q)[0], want)
