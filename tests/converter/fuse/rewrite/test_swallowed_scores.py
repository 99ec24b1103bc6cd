# SPDX-License-Identifier: Apache-2.0
"""Attention behind a computed mask of -10,000 or less, as TensorFlow quantizes it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.fuse.rewrite.rules.swallowed_scores import reach
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Quantization
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import accuracy, opcodes, rewritten

_HEADS, _TOKENS, _WIDTH = 2, 12, 8


def _heads(g: PlainGraph, x: int, width: int = _WIDTH) -> int:
    y = g.reshape(g.linear(x, _HEADS * width), 1, _TOKENS, _HEADS, width)
    return g.transpose(y, 0, 2, 1, 3)


def _like(g: PlainGraph, tensor: int, other: int) -> None:
    """The quantizer hands a range back to what it is made of."""
    quantization = g.tensors[other].quantization
    g.tensors[tensor] = dataclasses.replace(g.tensors[tensor], quantization=quantization)


def _context(g: PlainGraph, x: int, masked: int) -> int:
    context = g.matmul(g.softmax(masked), _heads(g, x))
    tokens = g.reshape(g.transpose(context, 0, 2, 1, 3), 1, _TOKENS, _HEADS * _WIDTH)
    return g.linear(tokens, 12)


def _hidden(g: PlainGraph, x: int) -> tuple[int, np.ndarray]:
    """A number for each key that is above 0 where the key is hidden."""
    number = g.reshape(g.linear(x, 1), 1, 1, 1, _TOKENS)
    return number, g.value(number) > 0


def added(lowest: float, scaled: bool, seen: float = 0.0) -> tuple[PlainGraph, int, int]:
    """scores + lowest * hidden; the scores have been scaled, or come from the product as it is.

    A number above 0 is subtracted. `seen` is what the mask has for keys that are not hidden: 1 in
    steps of 2/255 is 0.996, of which 10,000 times its difference from 1 makes 39.
    """
    g = PlainGraph(np.random.default_rng(8))
    x = g.input(g.rng.normal(0, 1, (1, _TOKENS, 12)))
    scores = g.matmul(_heads(g, x), _heads(g, x), adj_y=True)
    if scaled:
        scores = g.mul(scores, g.constant(np.array(0.35)))
    number, _ = _hidden(g, x)
    above = g.op("RELU", [number], np.maximum(g.value(number), 0.0))
    mask = g.mul(above, g.constant(np.array(lowest)))
    if seen:
        mask = g.add(mask, g.constant(np.array(seen)))
    total = g.add(scores, mask) if lowest < 0 else g.sub(scores, mask)
    _like(g, scores, total)
    return g, x, _context(g, x, total)


def times(lowest: float) -> tuple[PlainGraph, int, int]:
    """scores * seen + lowest * (1 - seen), GPT-2's mask, of which the network computes `seen`."""
    g = PlainGraph(np.random.default_rng(8))
    x = g.input(g.rng.normal(0, 1, (1, _TOKENS, 12)))
    scores = g.mul(g.matmul(_heads(g, x), _heads(g, x), adj_y=True), g.constant(np.array(0.35)))
    number, _ = _hidden(g, x)
    hidden = g.mul(
        g.op("RELU", [number], np.maximum(g.value(number), 0.0)), g.constant(np.array(0.2))
    )
    seen = g.sub(g.constant(np.array(1.0)), hidden)
    cut = g.mul(scores, seen)
    total = g.add(cut, g.mul(hidden, g.constant(np.array(lowest))))
    _like(g, cut, total)
    return g, x, _context(g, x, total)


def selected(lowest: float, known: bool = False) -> tuple[PlainGraph, int, int]:
    """SELECT_V2 of the lowest number where a key is hidden: one type for all of it."""
    g = PlainGraph(np.random.default_rng(8))
    x = g.input(g.rng.normal(0, 1, (1, _TOKENS, 12)))
    raw = g.matmul(_heads(g, x), _heads(g, x), adj_y=True)
    scores = g.mul(raw, g.constant(np.array(0.35)))
    number, hidden = _hidden(g, x)
    zero = g.constant(np.array(0.0))
    t = g.tensors[number]
    data = np.array(t.zero_point, np.int8)
    g.tensors[zero] = dataclasses.replace(g.tensors[zero], quantization=t.quantization, data=data)
    truth = g.op("GREATER", [number, zero], hidden.astype(float), **options("GreaterOptions"))
    g.tensors[truth] = dataclasses.replace(
        g.tensors[truth], dtype=np.dtype(np.bool_), quantization=None
    )
    if known:
        truth = g.condition(hidden)
    fill = g.constant(np.array(lowest))
    value = np.where(hidden, lowest, g.value(scores))
    total = g.op("SELECT_V2", [truth, fill, scores], value, **options("SelectV2Options"))
    for tensor in (scores, fill):
        _like(g, tensor, total)
    fill_data = np.array(-128, np.int8)
    g.tensors[fill] = dataclasses.replace(g.tensors[fill], data=fill_data)
    return g, x, _context(g, x, total)


CASES = {
    "added": lambda: added(-1e4, True),
    "added to a product": lambda: added(-1e4, False),
    "subtracted": lambda: added(1e4, True),
    "added, not 0 where keys are seen": lambda: added(-1e4, True, -39.0),
    "subtracted, not 0 where keys are seen": lambda: added(1e4, True, 39.0),
    "in the place of products": lambda: times(-1e4),
    "selected": lambda: selected(-1e9),
    "selected, the least float": lambda: selected(float(np.finfo(np.float32).min) / 2),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_come_back(name: str) -> None:
    g, x, y = CASES[name]()
    found = accuracy(g, x, y, by="swallowed_scores")
    assert found.plain < 15.0
    assert found.rewritten > found.plain + 10.0


@pytest.mark.parametrize("name", ["added", "subtracted", "in the place of products", "selected"])
def test_every_runtime(name: str) -> None:
    g, x, y = CASES[name]()
    content = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    want = open_runtime("reference", content).run(g.quantized(x))[0]
    for runtime in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(runtime, content).run(g.quantized(x))[0], want)


def test_what_cannot_be_mended_is_said() -> None:
    """Calibrated without a masked input, the lowest number is that of the scores' type."""
    g, _, y = selected(-1e9)
    chosen = next(op for op in g.operators if op.opcode == "SELECT_V2")
    scores = chosen.inputs[2]
    fine = Quantization.per_tensor(0.01, 0)
    for tensor in (*chosen.inputs[1:], *chosen.outputs):
        g.tensors[tensor] = dataclasses.replace(g.tensors[tensor], quantization=fine)
    (remark,) = [r for r in fuse_model(g.finish(y)).report.remarks if "hidden" in r]
    assert "puts -1.28 there" in remark
    coarse = Quantization.per_tensor(4.0, 0)
    for tensor in (scores, *chosen.inputs[1:], *chosen.outputs):
        g.tensors[tensor] = dataclasses.replace(g.tensors[tensor], quantization=coarse)
    shifted = np.array(5, np.int8)  # no mask: a number among the scores
    g.tensors[chosen.inputs[1]] = dataclasses.replace(g.tensors[chosen.inputs[1]], data=shifted)
    assert any("in steps of 4" in r for r in fuse_model(g.finish(y)).report.remarks)


@given(
    width=st.sampled_from([4, 8, 48, 192]),
    alike=st.booleans(),
    scaled=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=12, deadline=None)
def test_scores_that_may_be_cut_are_named(width: int, alike: bool, scaled: bool, seed: int) -> None:
    """Never are they cut without a word; a query that is its key has products of one sign."""
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.choice([-1.0, 1.0], (1, _TOKENS, 12)))
    queries = _heads(g, x, width)
    scores = g.matmul(queries, queries if alike else _heads(g, x, width), adj_y=True)
    if scaled:
        scores = g.mul(scores, g.constant(np.array(0.35)))
    number, _ = _hidden(g, x)
    above = g.op("RELU", [number], np.maximum(g.value(number), 0.0))
    total = g.add(scores, g.mul(above, g.constant(np.array(-1e4))))
    _like(g, scores, total)
    y = _context(g, x, total)
    own = [t for t in rewritten(g, y, by="swallowed_scores").graph.tensors if "/own" in t.name]
    cut = bool(own) and reach(own[0]) < np.abs(g.value(scores)).max()
    said = [r for r in fuse_model(g.finish(y)).report.remarks if "larger ones are cut" in r]
    assert said or not cut
    assert not (said and scaled)  # their product is calibrated


def test_a_mask_that_is_known_is_left_to_attention() -> None:
    g, _, y = selected(-1e9, known=True)
    report = fuse_model(g.finish(y)).report
    assert "VitAttentionCore" in [f.custom_code for f in report.fused]
    assert not any("steps of" in remark for remark in report.remarks)


def test_a_mask_that_leaves_steps_stays() -> None:
    g, _, y = added(-20.0, True)
    before = opcodes(rewritten(g, y, by="swallowed_scores").graph)
    assert "QUANTIZE" not in before


@pytest.mark.parametrize("factor", [0.35, 15.0])
def test_scores_that_are_large_themselves_are_no_worse(factor: float) -> None:
    """Their steps are as coarse as those of a mask, but right: ranges by bounds are wider."""
    g = PlainGraph(np.random.default_rng(8))
    x = g.input(g.rng.normal(0, 1, (1, _TOKENS, 12)))
    scores = g.matmul(_heads(g, x), _heads(g, x), adj_y=True)
    scores = g.mul(scores, g.constant(np.array(factor)))
    number, _ = _hidden(g, x)
    above = g.op("RELU", [number], np.maximum(g.value(number), 0.0))
    total = g.add(scores, g.mul(above, g.constant(np.array(-90.0))))
    y = _context(g, x, total)
    found = accuracy(g, x, y, by="swallowed_scores")
    assert found.rewritten >= found.plain
