# SPDX-License-Identifier: Apache-2.0
"""Converter output of every family: all blocks fuse, and nothing is lost against the plain file.

Images are those of the calibration, so that saturation is not what is compared.
"""

from __future__ import annotations

import collections
import functools

import pytest

from converter.fuse import FuseResult, fuse_model
from converter.tflite import parse
from tests.converter.fuse.checks import Array, real_output, run_fused, run_litert, sqnr_db
from tests.converter.fuse.families import FAMILIES, Family, Sample, sample
from tests.converter.tflite.flatbuffer_files import outside

_LUCK_DB = 1.5  # few logits, an output step away from perfect: rounding favours one or the other
_BY_NAME = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)


def quantized_images(s: Sample) -> Array:
    graph = parse(s.plain).graph
    t = graph.tensors[graph.inputs[0]]
    q = (s.images / t.scale + t.zero_point).round().clip(-128, 127).astype("int8")
    return q[:, None]


@functools.cache
def fused(name: str, bits: int = 8) -> FuseResult:
    return fuse_model(sample(name).plain, bits)


@_BY_NAME
def test_every_block_is_fused(family: Family) -> None:
    report = fused(family.name).report
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


# Operators of the plain files by which families differ, as the converter writes them.
LOWERED = {
    "cls_token": {"CONCATENATION": 1, "STRIDED_SLICE": 1},
    "low_rank": {"FULLY_CONNECTED": 9},
    "separate_qkv": {"FULLY_CONNECTED": 7, "SPLIT": 0},
    "multi_head_attention_layer": {"FULLY_CONNECTED": 7, "SOFTMAX": 1},
    "quick_gelu": {"LOGISTIC": 1, "GELU": 0},
    "mixed_blocks": {"FULLY_CONNECTED": 17, "SOFTMAX": 3},
    "stem": {"CONV_2D": 3, "GELU": 2},
    "patch_padding": {"CONV_2D": 1},
}


@pytest.mark.parametrize("name", LOWERED)
def test_plain_files_are_all_int8(name: str) -> None:
    graph = parse(sample(name).plain).graph
    codes = collections.Counter(op.opcode for op in graph.operators)
    assert {code: codes[code] for code in LOWERED[name]} == LOWERED[name]
    assert {str(t.dtype) for t in graph.tensors} <= {"int8", "int32"}
    for index in (*graph.inputs, *graph.outputs):
        assert str(graph.tensors[index].dtype) == "int8"
        assert graph.tensors[index].shape[0] == 1


@functools.cache
def measured_db(name: str) -> tuple[float, float, float]:
    """SQNR of the logits: plain, fused with int8 and with int16 residuals."""
    s = sample(name)
    q = quantized_images(s)
    rows = [run_litert(s.plain, q)]
    rows += [run_fused(fused(name, bits).model_bytes, q) for bits in (8, 16)]
    plain, int8, int16 = (sqnr_db(s.logits, real_output(s.plain, r)[:, 0]) for r in rows)
    return plain, int8, int16


@_BY_NAME
def test_fused_is_no_farther_from_float_than_plain(family: Family) -> None:
    plain, int8, int16 = measured_db(family.name)
    assert plain > 12.0  # else there is nothing to compare with
    assert min(int8, int16) >= plain - _LUCK_DB


def test_fused_is_nearer_to_float_on_average() -> None:
    results = [measured_db(family.name) for family in FAMILIES]
    plain, int8, int16 = (sum(column) / len(column) for column in zip(*results, strict=True))
    assert int8 >= plain + 0.5
    assert int16 >= plain + 1.0


def test_int16_residual_is_used_throughout() -> None:
    graph = parse(fused("clean_norm", 16).model_bytes).graph
    kinds = [str(graph.tensors[op.outputs[0]].dtype) for op in graph.operators]
    assert kinds == ["int16"] * 5 + ["int8"] * 2


def test_weights_outside_the_flatbuffer() -> None:
    """As ai-edge-quantizer writes large constants."""
    plain = sample("clean_norm").plain
    assert fuse_model(outside(plain)).model_bytes == fused("clean_norm").model_bytes
