# SPDX-License-Identifier: Apache-2.0
"""An MLP without a LayerNorm before it: in post-norm and parallel blocks, with x added or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from tests.converter.fuse.blocks import ACTIVATIONS, activate
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph

_MINIMUM_DB = 26.0
_TOLERANCE_DB = 6.0


def branch(g: PlainGraph, x: int, hidden: int, kind: str, rank: int) -> int:
    """fc2(activation(fc1(x))) as wide as x."""

    def layer(t: int, outputs: int, fused: str = "NONE") -> int:
        inner = g.linear(t, rank, bias=False) if rank else t
        return g.linear(inner, outputs, activation=fused)

    if kind == "relu":
        return layer(layer(x, hidden, "RELU"), g.value(x).shape[-1])
    return layer(activate(g, layer(x, hidden), kind), g.value(x).shape[-1])


@given(
    st.sampled_from(ACTIVATIONS),
    st.sampled_from([0, 3]),
    st.sampled_from(["none", "x + f", "f + x", "reshaped", "flat"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.generate])
def test_mlp_without_norm(kind: str, rank: int, added: str, behind: bool, seed: int) -> None:
    """`behind`: a LayerNorm follows, as in a post-norm block."""
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 5, 8)))
    y = branch(g, g.reshape(x, 5, 8) if added == "flat" else x, 12, kind, rank)
    if added == "flat":  # Keras' Dense of an open batch: rows in, tokens added
        y = g.add(x, g.reshape(y, 1, 5, 8))
    elif added == "reshaped":
        y = g.reshape(g.add(g.reshape(x, 5, 8), g.reshape(y, 5, 8)), 1, 5, 8)
    elif added != "none":
        y = g.add(*((x, y) if added == "x + f" else (y, x)))
    if behind:
        y = g.layer_norm(y)
    result = outcome(g, x, y)
    assert result.codes["VitMlp"] == 1
    assert set(result.codes) <= {"VitMlp", "VitLayerNorm"}
    if added == "flat":
        assert result.report.leftovers == ()
    assert {entry.name for entry in result.report.leftovers} <= {"RESHAPE"}
    assert result.fused_db > min(_MINIMUM_DB, result.plain_db - _TOLERANCE_DB)


def test_norm_that_others_read_and_a_stream_that_is_another_tensor() -> None:
    """A parallel block: both branches read one LayerNorm, and are added to the stream."""
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 5, 8)))
    h = g.layer_norm(x)
    y = g.add(g.add(x, g.linear(h, 8)), branch(g, h, 12, "gelu", 0))
    result = outcome(g, x, y)
    assert result.codes == {"VitLayerNorm": 1, "VitLinear": 1, "VitMlp": 1}
    assert [entry.name for entry in result.report.leftovers] == ["ADD", "ADD"]
    entry = next(n for n in result.report.not_fused if n.label == "block 0 mlp")
    assert str(entry).startswith("block 0 mlp: only its core is fused: ")
    assert result.fused_db > _MINIMUM_DB


def test_what_is_no_mlp_core() -> None:
    """Another width behind it, as of a head; or a hidden tensor that others read."""
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 8)))
    result = outcome(g, x, g.linear(g.gelu(g.linear(x, 12)), 4))
    assert "VitMlp" not in result.codes
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 5, 8)))
    hidden = g.gelu(g.linear(x, 12))
    report = fuse_model(g.finish(g.linear(hidden, 8), g.reshape(hidden, 5, 12))).report
    assert "VitMlp" not in [f.custom_code for f in report.fused]


@pytest.mark.parametrize("runtime", ["host", "tflm"])
def test_every_runtime_computes_the_definition(runtime: str) -> None:
    g = PlainGraph(np.random.default_rng(2))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 20, 8)))
    h = g.add(x, branch(g, x, 12, "gelu", 0))
    planned = plan_model(fuse_model(g.finish(branch(g, h, 12, "relu", 3))).model_bytes).model_bytes
    rng = np.random.default_rng(8)
    reference, other = open_runtime("reference", planned), open_runtime(runtime, planned)
    for _ in range(4):
        values = rng.integers(-128, 128, reference.inputs[0].shape).astype(np.int8)
        assert np.array_equal(reference.run(values)[0], other.run(values)[0])
