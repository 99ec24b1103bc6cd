# SPDX-License-Identifier: Apache-2.0
"""Whether a graph in normal form computes what it did, where results are no numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.fuse.gate.constants import exact_constants
from converter.fuse.gate.normal import _is_near
from converter.fuse.gate.plain import PlainGraph as Plain
from converter.fuse.gate.plain import rounding
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import GraphView, parse
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.pt2e import pt2e_of
from tests.converter.fuse.rewrite.checks import graph_of
from tests.converter.runtimes.edges import INT8, Edges


def test_an_average_of_nothing_leaves_rules_in_use() -> None:
    """0 / 0 in both graphs was blamed on every rule: masks of such networks were not mended."""
    g = Edges()
    shape = (1, 4)
    x = g.x(shape, np.int8, INT8)
    nothing = g.tensor((), np.int8, INT8, np.array(INT8[1], np.int8))
    zero = g.op("MUL", (x, nothing), shape, np.int8, INT8, "MulOptions")
    ratio = g.op("DIV", (zero, zero), shape, np.int8, INT8, "DivOptions")
    same = g.tensor((2,), np.int32, None, np.array(shape, np.int32))
    y = g.op("RESHAPE", (ratio, same), shape, np.int8, INT8, "ReshapeOptions")
    y = g.op("RELU", (y,), shape, np.int8, INT8)
    names = [op.name for op in parse(fuse_model(g.content(y)).model_bytes).graph.operators]
    assert "RESHAPE" not in names


@pytest.mark.parametrize(
    ("other", "near"),
    [
        ([1.0, np.nan, np.inf], True),
        ([1.0009, np.nan, np.inf], True),
        ([1.002, np.nan, np.inf], False),
        ([1.0, 0.0, np.inf], False),
        ([1.0, np.nan, -np.inf], False),
        ([np.nan, np.nan, np.inf], False),
    ],
)
def test_near(other: list[float], near: bool) -> None:
    assert _is_near(np.array([1.0, np.nan, np.inf]), np.array(other)) is near


@pytest.mark.parametrize("seed", range(3))
def test_constants_that_the_kernel_rounds_otherwise_are_folded(seed: int) -> None:
    """A position bias of two layers of constants (Swin V2, timm's relpos), taken by GATHER_ND.

    Some of its numbers are a unit off what NumPy rounds to, for which the rule was left out, and
    with it all others that keep integers.
    """
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, (16, 16, 4)))
    table = g.linear(g.linear(g.constant(g.rng.normal(0, 1, (49, 2))), 64, activation="RELU"), 4)
    places = g.rng.integers(0, 49, (256, 1))
    wanted = g.indices(*places.reshape(-1))
    g.tensors[wanted] = dataclasses.replace(
        g.tensors[wanted], shape=places.shape, data=places.astype(np.int32)
    )
    value = g.value(table)[places[:, 0]]
    taken = g.op("GATHER_ND", [table, wanted], value, like=table, **options("GatherNdOptions"))
    y = g.add(x, g.reshape(taken, 16, 16, 4))
    assert _off(g, table), "a case in which both round alike shows nothing"
    plain = g.finish(y)
    fused = plan_model(fuse_model(plain).model_bytes).model_bytes
    want = open_runtime("reference", plain).run(g.quantized(x))[0]
    for name in ("reference", "host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused).run(g.quantized(x))[0], want, name)
    result = fuse_model(g.finish(g.gelu(y)))
    assert [op.name for op in parse(result.model_bytes).graph.operators] == ["ADD", "VitGelu"]
    assert result.report.accuracy is not None  # GATHER_ND of the file as it is can be evaluated


def test_constants_that_are_moved_computed_and_float_are_folded() -> None:
    """DINOv3's rotary positions: joined coordinates, their multiples, a sine in float.

    Rules that keep real numbers fold what is moved, rules that keep integers what is computed: each
    waited for the other.
    """
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 8, 2)))
    rows = g.constant(g.rng.uniform(-1, 1, (8, 1)))
    at = g.concatenation([rows, rows], 1)
    angle = g.mul(at, g.constant(np.array(5.0)))
    sine = g.unary("SIN", angle, np.sin(g.value(angle)))
    y = g.gelu(g.add(x, g.reshape(sine, 1, 8, 2)))
    content = pt2e_of(g, y, quantized={"CONCATENATION", "MUL", "ADD", "RESHAPE", "GELU"})
    view = GraphView(parse(content).graph)
    values = exact_constants(view)
    (wave,) = (op.outputs[0] for op in view.graph.operators if op.opcode == "SIN")
    assert values[wave].dtype == np.float32
    assert np.abs(values[wave] - np.sin(g.value(angle))).max() < 0.05
    fused = parse(fuse_model(content).model_bytes).graph.operators
    assert [op.name for op in fused] == ["ADD", "VitGelu"]


def _off(g: PlainGraph, tensor: int) -> bool:
    """Whether the kernels' integers of a tensor of constants are not what NumPy rounds to."""
    view = GraphView(graph_of(g, tensor))
    values: dict[int, np.ndarray] = {}
    plain = Plain(view)
    plain.run(plain.ops_between((), tensor), values, rounding)
    return bool(np.any(exact_constants(view)[tensor] != values[tensor]))
