# SPDX-License-Identifier: Apache-2.0
"""A plain file's layers get 4 bits, and the fuser makes layers of 4 bits of them."""

import dataclasses
import functools

import numpy as np
import pytest

from benchmarks.frozen.plain_files import plain_file
from benchmarks.frozen.random_archs import random_form
from converter.fuse import fuse_model
from converter.fused_ops import decoded_all
from converter.plan.model import plan_model
from converter.runtimes import open_runtime
from converter.tflite import TfliteError, parse
from converter.weight_bits.fused import constant_bytes, round_file
from converter.weight_bits.pipeline import RoundingMethod
from converter.weight_bits.wanted import WeightBits
from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_custom_ops.ops.parts import Linear
from tflm_custom_ops.ops.schema.struct import parts_of

SEED = 10  # of a small network


@functools.cache
def plain():
    return plain_file(random_form(SEED))


@functools.cache
def rounded(bits, constants=None, method=None):
    return round_file(plain(), WeightBits(bits, constants), method=method)


def layouts(fused):
    ops = [op for op in decoded_all(parse(fused).graph) if op is not None]
    return [layer.layout for op in ops for layer in parts_of(op, Linear)]


def constants_of(plain_bytes):
    return constant_bytes(parse(fuse_model(plain_bytes).model_bytes).graph)


def test_every_fused_layer_gets_four_bits_and_computes_the_same_everywhere():
    whole, half = (fuse_model(content) for content in (plain(), rounded(4).model_bytes))
    assert set(layouts(whole.model_bytes)) == {WeightLayout.PAIRS8}
    assert set(layouts(half.model_bytes)) == {WeightLayout.QUADS4}
    assert [op.custom_code for op in half.report.fused] == [
        op.custom_code for op in whole.report.fused
    ]
    assert constants_of(plain()) - constants_of(rounded(4).model_bytes) == pytest.approx(
        rounded(4).report.saved_bytes, abs=128
    )
    content = plan_model(half.model_bytes).model_bytes
    reference, host = (open_runtime(name, content) for name in ("reference", "host"))
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.integers(-128, 128, reference.inputs[0].shape).astype(np.int8)
        assert np.array_equal(reference.run(x)[0], host.run(x)[0])


def test_against_the_inputs_the_outputs_are_nearer():
    near, against, network = (rounded(4, None, method).report for method in RoundingMethod)
    assert against.sqnr_db > near.sqnr_db + 2
    assert network.sqnr_db > against.sqnr_db - 1


def test_under_a_limit_as_few_layers_as_it_needs():
    whole, least = constants_of(plain()), constants_of(rounded(4).model_bytes)
    limit = (whole + least) // 2
    found = rounded(0, limit)
    bits = [layer.bits for layer in found.report.layers]
    assert set(bits) == {4, 8}
    assert constants_of(found.model_bytes) <= limit + 128
    assert found.report.sqnr_db > rounded(4).report.sqnr_db
    assert all(layer.noise is not None for layer in found.report.layers)
    assert "alone" in found.report.table()


def test_a_limit_that_no_bits_reach_is_an_error():
    with pytest.raises(TfliteError, match=r"--flash: got room for 100 B of constants, expected"):
        round_file(plain(), WeightBits(0, 100))


def test_a_limit_that_eight_bits_reach_changes_nothing():
    found = rounded(0, constants_of(plain()))
    assert {layer.bits for layer in found.report.layers} == {8}
    assert fuse_model(found.model_bytes).model_bytes == fuse_model(plain()).model_bytes


@pytest.mark.parametrize(
    ("text", "flash", "expected"),
    [("8", None, None), ("4", None, WeightBits(4)), ("auto", 900, WeightBits(0, 800))],
)
def test_what_flags_ask_for(text, flash, expected):
    assert WeightBits.of(text, flash, 100) == expected


@pytest.mark.parametrize(("text", "flash"), [("4", 900), ("8", 900), ("auto", None)])
def test_flags_that_do_not_go_together(text, flash):
    with pytest.raises(ValueError, match="--flash"):
        WeightBits.of(text, flash, 0)


def test_convolutions_that_are_not_there_are_refused():
    with pytest.raises(TfliteError, match="got 4 bits for stage0_block1, expected a convolution"):
        round_file(plain(), WeightBits(4, None, frozenset(), ("stage0_block1",)))


def test_a_block_that_is_fused_in_part_is_refused(monkeypatch):
    """Else one of its halves would stay at 8 bits without a word."""
    wanted, whole = WeightBits(4, blocks=frozenset([0])), fuse_model(plain())
    half = [op for op in whole.report.fused if op.label != "block 0 attention"]
    assert len(half) < len(whole.report.fused)
    report = dataclasses.replace(whole.report, fused=half)
    result = dataclasses.replace(whole, report=report)
    monkeypatch.setattr("converter.weight_bits.fused.fuse_model", lambda *_: result)
    with pytest.raises(TfliteError, match="got 4 bits for block 0 attention, expected"):
        round_file(plain(), wanted)
