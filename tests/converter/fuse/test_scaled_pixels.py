# SPDX-License-Identifier: Apache-2.0
"""Constants that normalize an image before its patch embedding become part of it."""

from __future__ import annotations

import numpy as np
import pytest

from converter.contract import Contract, Stated, contract_of, rewritten
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from keras_models.datasets.normalization import Normalization
from tests.converter.fuse.checks import Outcome, outcome
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.test_patch_embedding import Spelling, embed

_MEAN, _STD = (np.array(v) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def _scaled(g: PlainGraph, x: int, form: str, planes: bool) -> int:
    """The image after MUL, SUB, DIV, ADD with constants."""

    def c(value: np.ndarray | float) -> int:
        data = np.asarray(value, np.float64)
        return g.constant(data.reshape(-1, 1, 1) if planes and data.size > 1 else data)

    if form == "rescaled":
        return g.add(g.mul(x, c(1 / 127.5)), c(-1.0))
    if form == "turned":
        return g.sub(c(1.0), g.mul(x, c(1 / 255)))
    if form == "means":
        return g.sub(g.mul(x, c(1 / 255)), c(_MEAN))
    if form == "factor":
        return g.mul(x, c(1 / 255))
    return g.div(g.sub(g.mul(x, c(1 / 255)), c(_MEAN)), c(_STD))


def _embedded(form: str, s: Spelling, seed: int = 0) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(seed))
    shape = (1, s.channels, s.size, s.size) if s.planes else (1, s.size, s.size, s.channels)
    x = g.input(g.rng.integers(0, 256, shape).astype(float))
    image = _scaled(g, x, form, s.planes)
    return g, x, embed(g, g.transpose(image, 0, 2, 3, 1) if s.planes else image, s)


def _fused(form: str, s: Spelling, seed: int = 0) -> Outcome:
    result = outcome(*_embedded(form, s, seed))
    assert result.codes == {"VitPatchEmbed": 1}
    assert result.fused_db > result.plain_db - 0.5
    return result


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("form", ["rescaled", "turned", "means", "factor", "normalized"])
def test_one_operator_is_left(form: str, planes: bool) -> None:
    s = Spelling(size=12, channels=3, patch=4, stride=4, width=8, planes=planes)
    assert _fused(form, s).report.ops_after == 1


@pytest.mark.parametrize(("form", "left"), [("factor", 1), ("rescaled", 3), ("means", 3)])
def test_an_offset_does_not_reach_the_padding(form: str, left: int) -> None:
    """SAME pads the normalized image with zeros, which no pixel is."""
    s = Spelling(size=12, channels=3, patch=4, stride=3, width=8, padding="same")
    assert _fused(form, s).report.ops_after == left


def test_what_others_read_stays() -> None:
    g, _, y = _embedded("rescaled", Spelling(channels=3))
    other = g.operators[1].outputs[0]
    assert parse(g.finish(y, other)).graph.outputs == (y, other)
    report = fuse_model(g.finish(y, other)).report
    assert report.ops_after == 3


def test_the_image_means_what_it_did_in_every_runtime() -> None:
    g, x, y = _embedded("normalized", Spelling(size=12, channels=3, width=8))
    pixels = Normalization((0.0,), (1.0,))
    plain = rewritten(g.finish(y), Stated(pixels))
    fused = plan_model(fuse_model(plain).model_bytes).model_bytes
    assert contract_of(fused) == contract_of(plain) == Contract(pixels)
    want = None
    for name in ("reference", "host", "tflm"):
        runtime = open_runtime(name, fused)
        (t,) = runtime.inputs
        assert (t.scale, t.zero_point) == (g.tensors[x].scale, g.tensors[x].zero_point)
        (got,) = runtime.run(g.quantized(x))
        want = got if want is None else want
        np.testing.assert_array_equal(got, want, name)


@pytest.mark.parametrize("seed", range(3))
def test_an_image_far_from_its_mean(seed: int) -> None:
    """No pixel is near the mean that is taken off: rounded weights must not move every result."""
    s = Spelling(size=16, channels=3, patch=8, stride=8, width=8)
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.uniform(-4, 4, (1, s.size, s.size, s.channels)))
    result = outcome(g, x, embed(g, _scaled(g, x, "normalized", False), s))
    assert result.report.ops_after == 1
    assert result.fused_db > result.plain_db - 0.5
