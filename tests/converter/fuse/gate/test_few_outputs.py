# SPDX-License-Identifier: Apache-2.0
"""Networks of few outputs: what the verdict on them rests on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from converter.fuse import fuse_model, pipeline
from converter.fuse.arithmetic import Range
from converter.fuse.gate.noise import Noise
from converter.fuse.gate.repeats import Repeats
from converter.fuse.gate.witnesses import candidates, nearest
from converter.fuse.lower import lower
from converter.fuse.patterns.match import Match
from converter.tflite import GraphView, parse
from tests.converter.fuse.gate.networks import network
from tflm_custom_ops.ops import LinearOp, Mlp, Params


def test_a_head_of_two_is_judged_on_more_than_the_network_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scale 0.3 % off, 4 dB, may be chance in three numbers, but not in 512."""

    def wrong(match: Match, type_of: Callable[[int], Range]) -> Params:
        op = lower(match, type_of)
        if not isinstance(op, LinearOp) or op.projection.up.out_features != 3:
            return op
        up = op.projection.up
        scaled = (up.multiplier.astype(np.int64) * 1003 // 1000).astype(np.int32)
        projection = dataclasses.replace(
            op.projection, up=dataclasses.replace(up, multiplier=scaled)
        )
        return dataclasses.replace(op, projection=projection)

    assert fuse_model(network(outputs=3)).report.not_fused == ()
    monkeypatch.setattr(pipeline, "lower", wrong)
    (refused,) = fuse_model(network(outputs=3)).report.not_fused
    assert "dB from the float result" in refused.reason
    monkeypatch.setattr("converter.fuse.gate.regions._LEAST_VALUES", 0)
    assert fuse_model(network(outputs=3)).report.not_fused == ()


def test_witnesses_are_the_last_tensors_of_many_elements() -> None:
    view = GraphView(parse(network(outputs=3)).graph)
    found = candidates(view)
    assert found
    assert all(view.tensor(t).size >= 256 for t in found)
    assert found.isdisjoint(view.graph.outputs)
    (mean,) = (op for op in view.graph.operators[-5:] if op.opcode == "MEAN")
    tokens = mean.inputs[0]  # the last of many elements on the way to two outputs
    assert nearest(view, found) == {tokens}
    assert nearest(view, found - {tokens}) == {
        t for t in view.op(view.producer(tokens)).inputs if not view.is_constant(t)
    }


def test_many_outputs_need_no_witness() -> None:
    view = GraphView(parse(network(outputs=300)).graph)
    assert candidates(view) == frozenset()


def test_few_outputs_are_judged_by_what_is_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions unjudged, a scale 40 % off: two logits do not show it, the tokens do."""

    def wrong(match: Match, type_of: Callable[[int], Range]) -> Params:
        op = lower(match, type_of)
        if not isinstance(op, Mlp):
            return op
        up = op.fc2.up
        scaled = np.minimum(np.round(up.multiplier * 1.4), 2**31 - 1).astype(np.int32)
        fc2 = dataclasses.replace(op.fc2, up=dataclasses.replace(up, multiplier=scaled))
        return dataclasses.replace(op, fc2=fc2)

    judge = Noise.over_threshold
    monkeypatch.setattr(Noise, "over_threshold", lambda n: None if n.step else judge(n))
    monkeypatch.setattr(Noise, "refusal", lambda n: None)
    monkeypatch.setattr(pipeline, "lower", wrong)
    content = network(outputs=2)
    assert any("whole network" in n.reason for n in fuse_model(content).report.not_fused)
    monkeypatch.setattr("converter.fuse.gate.wholes.candidates", lambda view: frozenset())
    assert fuse_model(content).report.not_fused == ()


def test_two_probabilities_are_one_number() -> None:
    """Each errs by what the other does: 1 dB between two draws is chance; 30 dB is none."""
    noise, wrong = Noise(2, 1 / 256), Noise(2, 1 / 256)
    for p, plain, fused in ((0.3, 0.010, 0.012), (0.6, 0.008, 0.009)):
        truth, sides = np.array([[p, 1 - p]]), np.array([[1, -1]])
        noise.add(truth, truth + fused * sides, truth + plain * sides)
        wrong.add(truth, truth + 40 * fused * sides, truth + plain * sides)
    assert noise.excess > 0.0
    assert noise.over_threshold() is None
    assert wrong.over_threshold() is not None


def test_rounding_that_the_plain_result_has_too_is_no_fault() -> None:
    """A GELU of a trained head: values of a unit or two, the same in every probe."""
    rng = np.random.default_rng(5)
    truth = 0.4 + rng.uniform(0, 0.05, (1, 128))
    alike, alone = Noise(128, 1.0), Noise(128, 1.0)
    for _ in range(3):
        alike.add(truth, np.round(truth), np.round(truth))
        alone.add(10.0 * truth, 11.0 * truth, 10.0 * truth + rng.normal(0, 2, truth.shape))
    assert alike.refusal() is None
    assert "times as large" in str(alone.refusal())


@pytest.mark.parametrize(("steps", "said"), [(0.02, True), (3.0, False)])
def test_outputs_that_repeat_are_named(steps: float, said: bool) -> None:
    """Their dB are one draw of errors, however many probes there are."""
    view = GraphView(parse(network(outputs=2)).graph)
    (output,) = view.graph.outputs
    repeats = Repeats(view)
    for number in range(6):
        repeats.add(
            {output: np.array([[1.0, -2.0]]) + number % 2 * steps * view.tensor(output).scale}
        )
    assert [f"{view.tensor(output).name!r}" in remark for remark in repeats.remarks()] == [
        True
    ] * said
