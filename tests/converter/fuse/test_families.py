# SPDX-License-Identifier: Apache-2.0
"""Converter output of every family: all blocks fuse, and the result is as good as the plain one or better.

Images are those of the calibration: LiteRT's int8 MEAN wraps around beyond the calibrated range
where the fused pooling saturates, and the comparison would be unfair to the plain network.
"""

from __future__ import annotations

import pytest

from converter.fuse import fuse_model
from converter.tflite import parse
from tests.converter.fuse.checks import Array, real_output, run_fused, run_litert, sqnr_db
from tests.converter.fuse.families import FAMILIES, Family, Sample, sample
from tests.converter.tflite.flatbuffer_files import outside

_LUCK_DB = 0.5  # logits of ten images: rounding favours one or the other by a little
_BY_NAME = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)


def quantized_images(s: Sample) -> Array:
    graph = parse(s.plain).graph
    t = graph.tensors[graph.inputs[0]]
    q = (s.images / t.scale + t.zero_point).round().clip(-128, 127).astype("int8")
    return q[:, None]


@_BY_NAME
def test_every_block_is_fused(family: Family) -> None:
    report = fuse_model(sample(family.name).plain).report
    codes = [op.custom_code for op in report.fused]
    assert report.not_fused == ()
    assert codes.count("VitAttention") == family.blocks
    assert codes.count("VitMlp") == family.blocks
    assert codes.count("VitPatchEmbed") == 1
    assert codes[-2:] == ["VitLayerNorm", "VitLinear"]
    assert tuple(left.name for left in report.leftovers) == family.builtin
    assert report.ops_after == len(codes) + len(family.builtin)
    labels = [op.label for op in report.fused if op.label.startswith("block")]
    assert labels == [f"block {i} {part}" for i in range(family.blocks)
                      for part in ("attention", "mlp")]  # fmt: skip


@_BY_NAME
def test_fused_is_no_farther_from_float_than_plain(family: Family) -> None:
    s = sample(family.name)
    q = quantized_images(s)
    plain = sqnr_db(s.logits, real_output(s.plain, run_litert(s.plain, q))[:, 0])
    assert plain > 12.0  # else there is nothing to compare with
    for bits in (8, 16):
        content = fuse_model(s.plain, bits).model_bytes
        fused = sqnr_db(s.logits, real_output(s.plain, run_fused(content, q))[:, 0])
        assert fused >= plain - _LUCK_DB


def test_int16_residual_is_used_throughout() -> None:
    graph = parse(fuse_model(sample("clean_norm").plain, 16).model_bytes).graph
    kinds = [str(graph.tensors[op.outputs[0]].dtype) for op in graph.operators]
    assert kinds == ["int16"] * 5 + ["int8"] * 2


def test_weights_outside_the_flatbuffer() -> None:
    """As ai-edge-quantizer writes large constants."""
    plain = sample("clean_norm").plain
    assert fuse_model(outside(plain)).model_bytes == fuse_model(plain).model_bytes
