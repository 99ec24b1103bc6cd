# SPDX-License-Identifier: Apache-2.0
"""Float operators between integers, as PT2E leaves them: integers, or a reason that names them."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.support.verdict import verdicts
from converter.tflite import parse
from tests.converter.fuse.blocks import ACTIVATIONS, activate
from tests.converter.fuse.islands import Build, in_float, island
from tests.converter.fuse.plain_graph import PlainGraph

EVERY = np.arange(-128, 128).astype(np.int8).reshape(1, 8, 32)


def scaled(g: PlainGraph, x: int) -> int:
    return g.add(g.mul(x, g.constant(np.array(-0.3))), g.constant(np.array(0.7)))


FUNCTIONS: dict[str, Build] = {
    "gelu": lambda g, x: g.gelu(x),
    "tanh": lambda g, x: g.unary("TANH", x, np.tanh(g.value(x))),
    "hard_swish": lambda g, x: g.unary(
        "HARD_SWISH", x, g.value(x) * np.clip(g.value(x) + 3, 0, 6) / 6
    ),
    "relu": lambda g, x: g.unary("RELU", x, np.maximum(g.value(x), 0)),
    "neg": lambda g, x: g.unary("NEG", x, -g.value(x)),
    "scaled": scaled,
    "turned": lambda g, x: g.transpose(g.gelu(g.reshape(x, 1, 16, 16)), 0, 2, 1),
} | {f"spelled {kind}": lambda g, x, kind=kind: activate(g, x, kind) for kind in ACTIVATIONS
     if kind != "relu"}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_one_tensor_is_a_table_of_what_it_computes(name: str) -> None:
    made = island(FUNCTIONS[name], (1, 8, 32))
    plain = made.g.finish(made.y)
    fused = fuse_model(plain)
    codes = [op.name for op in parse(fused.model_bytes).graph.operators]
    assert [code for code in codes if code not in ("RESHAPE", "TRANSPOSE")] == ["VitGelu"]
    assert not fused.report.not_fused
    (want,) = open_runtime("litert", plain).run(EVERY)
    for runtime in ("reference", "tflm"):
        (got,) = open_runtime(runtime, fused.model_bytes).run(EVERY)
        np.testing.assert_array_equal(got, want)


def test_islands_in_a_network_run_in_every_runtime() -> None:
    """A function, a per-channel constant behind a layer, a sum, views and a mean, one by one."""
    g = PlainGraph(np.random.default_rng(3))
    x = g.input(g.rng.normal(0, 1, (1, 6, 8)))
    h = in_float(g, lambda g, t: g.gelu(t), g.linear(x, 8))
    gamma = g.rng.uniform(0.5, 1.5, 8)
    h = in_float(g, lambda g, t: g.mul(t, g.constant(gamma)), g.linear(h, 8))
    h = in_float(g, lambda g, a, b: g.add(a, b), x, h)
    h = in_float(g, lambda g, t: g.transpose(g.reshape(t, 1, 12, 4), 0, 2, 1), h)
    y = in_float(g, lambda g, t: g.mean(t, 1), h)
    plain = g.finish(y)
    fused = plan_model(fuse_model(plain).model_bytes).model_bytes
    graph = parse(fused).graph
    assert not {"DEQUANTIZE", "QUANTIZE"} & {op.name for op in graph.operators}
    assert all(entry.runs for entry in verdicts(graph))
    sample = g.quantized(x)
    (want,) = open_runtime("reference", fused).run(sample)
    for runtime in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(runtime, fused).run(sample)[0], want)
    (plainly,) = open_runtime("litert", plain).run(sample)
    assert np.abs(want.astype(int) - plainly).max() <= 2


def test_what_stays_in_float_is_named() -> None:
    made = island(lambda g, a, b: g.gelu(g.mul(a, b)), (1, 6, 8), (1, 6, 8))
    fused = fuse_model(made.g.finish(made.y))
    (reason,) = (str(n) for n in fused.report.not_fused if n.label.startswith("float island"))
    why = "the activation function depends on"
    assert f"does not have: MUL (op 2), GELU (op 3); quantize them too, as {why}" in reason
    compiled, wheel, _ = verdicts(parse(fused.model_bytes).graph)
    assert "of float32" in compiled.reasons[0]
    assert not wheel.runs  # TFLM has no GELU of float32


def test_constants_of_each_channel_and_functions_of_sums_are_integers() -> None:
    channels = island(lambda g, x: g.mul(x, g.constant(np.linspace(0.3, 2, 8))), (1, 6, 8))
    several = island(lambda g, a, b: g.gelu(g.add(a, b)), (1, 6, 8), (1, 6, 8))
    for made, operators in ((channels, ["MUL"]), (several, ["ADD", "VitGelu"])):
        plain = made.g.finish(made.y)
        fused = fuse_model(plain).model_bytes
        assert [op.name for op in parse(fused).graph.operators] == operators
        sample = [made.g.quantized(x) for x in made.xs]
        (want,) = open_runtime("reference", fused).run(*sample)
        np.testing.assert_array_equal(open_runtime("tflm", fused).run(*sample)[0], want)
        (plainly,) = open_runtime("litert", plain).run(*sample)
        assert np.abs(want.astype(int) - plainly).max() <= 3
