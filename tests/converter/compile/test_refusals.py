# SPDX-License-Identifier: Apache-2.0
"""What the code generator refuses, and with which words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter import tflite
from converter.compile import CompileError, MemoryLayout, Range, compile_model
from tests.converter.compile import fused_models
from tflm_custom_ops import options as o

OPS = fused_models.vit_ops()
CONTENT = fused_models.model_bytes(OPS)
LAYOUT = fused_models.stacked_layout(OPS)


def with_operator(index: int, **changes: object) -> bytes:
    model = tflite.parse(CONTENT)
    operators = list(model.graph.operators)
    operators[index] = dataclasses.replace(operators[index], **changes)
    graph = dataclasses.replace(model.graph, operators=tuple(operators))
    return tflite.serialize(dataclasses.replace(model, graph=graph))


def test_unsupported_operators_are_named():
    content = with_operator(2, opcode="SOFTMAX", custom_code="", custom_options=b"")
    with pytest.raises(CompileError, match=r"SOFTMAX.*TFLM runtime"):
        compile_model(content, LAYOUT)
    with pytest.raises(CompileError, match=r"Lstm9.*TFLM runtime"):
        compile_model(with_operator(2, custom_code="Lstm9"), LAYOUT)


def test_unsupported_operators_come_before_the_missing_plan():
    with pytest.raises(CompileError, match="Lstm9"):
        compile_model(with_operator(2, custom_code="Lstm9"))
    with pytest.raises(CompileError, match=r"plan.*converter\.fuse"):
        compile_model(CONTENT)


def test_options_of_another_operator():
    options = o.encode(OPS[2])[0]
    with pytest.raises(CompileError, match="operator 1 VitAttention"):
        compile_model(with_operator(1, custom_options=options), LAYOUT)


@pytest.mark.parametrize("cut", [4, 40])
def test_truncated_options(cut):
    options = o.encode(OPS[1])[0][:-cut]
    with pytest.raises(CompileError, match=r"operator 1 VitAttention.*words"):
        compile_model(with_operator(1, custom_options=options), LAYOUT)


def test_tensors_that_do_not_fit_the_options():
    attention = dataclasses.replace(OPS[1], tokens=11)
    with pytest.raises(CompileError, match=r"operator 1 VitAttention.*disagree"):
        compile_model(with_operator(1, custom_options=o.encode(attention)[0]), LAYOUT)


def test_float_interface():
    model = tflite.parse(CONTENT)
    tensors = list(model.graph.tensors)
    tensors[0] = dataclasses.replace(tensors[0], dtype=np.dtype(np.float32))
    graph = dataclasses.replace(model.graph, tensors=tuple(tensors))
    with pytest.raises(CompileError, match=r"model input image.*int8"):
        compile_model(tflite.serialize(dataclasses.replace(model, graph=graph)), LAYOUT)


def test_not_a_model():
    with pytest.raises(CompileError, match="tflite"):
        compile_model(b"not a flatbuffer", LAYOUT)


def moved(tensor: int, offset: int) -> MemoryLayout:
    offsets = list(LAYOUT.tensors)
    offsets[tensor] = offset
    return dataclasses.replace(LAYOUT, tensors=tuple(offsets))


def with_scratch(index: int, scratch: Range) -> MemoryLayout:
    ranges = list(LAYOUT.scratch)
    ranges[index] = scratch
    return dataclasses.replace(LAYOUT, scratch=tuple(ranges))


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        (moved(2, LAYOUT.arena_bytes), "op0"),
        (moved(2, -16), "op0"),
        (moved(2, 584), "multiple of 16"),
        (with_scratch(3, Range(16, LAYOUT.arena_bytes)), "scratch of operator 3"),
        (with_scratch(1, Range(LAYOUT.tensors[2], 64)), "operator 1 VitAttention writes"),
        (dataclasses.replace(LAYOUT, tensors=LAYOUT.tensors[:-1]), "plan it again"),
        (dataclasses.replace(LAYOUT, scratch=LAYOUT.scratch[:-1]), "plan it again"),
        (dataclasses.replace(LAYOUT, tensors=(None,) * len(LAYOUT.tensors)), "no offset"),
    ],
)
def test_broken_plans(layout, reason):
    with pytest.raises(CompileError, match=reason):
        compile_model(CONTENT, layout)


def test_streamed_plans_need_a_strip_and_a_patch_embedding():
    small = fused_models.stacked_layout(OPS, streamed=True)
    with pytest.raises(CompileError, match="strip has 16 bytes, the patch embedding needs 144"):
        compile_model(CONTENT, dataclasses.replace(small, strip=Range(0, 16)))
    content = with_operator(0, opcode="CONV_2D", custom_code="", custom_options=b"")
    with pytest.raises(CompileError, match="first operator is VitPatchEmbed"):
        compile_model(content, small)
