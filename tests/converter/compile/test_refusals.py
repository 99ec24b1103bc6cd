# SPDX-License-Identifier: Apache-2.0
"""What the code generator refuses, and with which words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter import tflite
from converter.compile import CompileError, compile_model
from converter.compile.compiler import compile_graph
from converter.plan import Plan, Span
from converter.tflite import Quantization
from tests.converter.compile import fused_models
from tflm_custom_ops.ops import encode

OPS = fused_models.vit_ops()
CONTENT = fused_models.model_bytes(OPS)
PLAN = fused_models.stacked_plan(OPS)


def with_operator(index: int, **changes: object) -> bytes:
    model = tflite.parse(CONTENT)
    operators = list(model.graph.operators)
    operators[index] = dataclasses.replace(operators[index], **changes)
    graph = dataclasses.replace(model.graph, operators=tuple(operators))
    return tflite.serialize(dataclasses.replace(model, graph=graph))


def test_unsupported_operators_are_named():
    inputs = tflite.parse(CONTENT).graph.operators[2].inputs[:1]
    content = with_operator(
        2, opcode="RELU_0_TO_1", custom_code="", custom_options=b"", inputs=inputs
    )
    with pytest.raises(CompileError, match=r"RELU_0_TO_1; no other runtime has them"):
        compile_model(content, PLAN)
    with pytest.raises(CompileError, match=r"Lstm9; no other runtime has them"):
        compile_model(with_operator(2, custom_code="Lstm9"), PLAN)


def test_unsupported_operators_come_before_the_missing_plan():
    with pytest.raises(CompileError, match="Lstm9"):
        compile_model(with_operator(2, custom_code="Lstm9"))
    with pytest.raises(CompileError, match=r"plan.*converter\.fuse"):
        compile_model(CONTENT)


def test_options_of_another_operator():
    options = encode(OPS[2])[0]
    with pytest.raises(CompileError, match="operator 1 VitAttention"):
        compile_model(with_operator(1, custom_options=options), PLAN)


@pytest.mark.parametrize("cut", [4, 40])
def test_truncated_options(cut):
    options = encode(OPS[1])[0][:-cut]
    with pytest.raises(CompileError, match=r"operator 1 VitAttention.*words"):
        compile_model(with_operator(1, custom_options=options), PLAN)


def test_tensors_that_do_not_fit_the_options():
    attention = dataclasses.replace(OPS[1], tokens=11, key_tokens=11)
    with pytest.raises(
        CompileError, match=r"operator 1 VitAttention: x: got .*, expected int8 \[11, 12\]"
    ):
        compile_model(with_operator(1, custom_options=encode(attention)[0]), PLAN)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_a_fused_operator_takes_no_other_type(dtype):
    model = tflite.parse(CONTENT)
    tensors = list(model.graph.tensors)
    quantization = Quantization.per_tensor(0.05, 0)
    tensors[0] = dataclasses.replace(tensors[0], dtype=np.dtype(dtype), quantization=quantization)
    graph = dataclasses.replace(model.graph, tensors=tuple(tensors))
    with pytest.raises(CompileError, match=f"x: got {np.dtype(dtype)} .*, expected int8"):
        compile_model(tflite.serialize(dataclasses.replace(model, graph=graph)), PLAN)


def test_not_a_model():
    with pytest.raises(CompileError, match="tflite"):
        compile_model(b"not a flatbuffer", PLAN)


def moved(tensor: int, offset: int) -> Plan:
    spans = list(PLAN.tensors)
    spans[tensor] = dataclasses.replace(spans[tensor], offset=offset)
    return dataclasses.replace(PLAN, tensors=tuple(spans))


def with_scratch(index: int, scratch: Span) -> Plan:
    ranges = list(PLAN.scratch)
    ranges[index] = scratch
    return dataclasses.replace(PLAN, scratch=tuple(ranges))


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (moved(2, PLAN.arena_bytes), "op0"),
        (moved(2, -16), "op0"),
        (moved(2, 584), "multiple of 16"),
        (with_scratch(3, Span(16, PLAN.arena_bytes)), "scratch of operator 3"),
        (with_scratch(1, Span(PLAN.tensors[2].offset, 64)), "operator 1 VitAttention writes"),
        (dataclasses.replace(PLAN, tensors=PLAN.tensors[:-1]), "plan it again"),
        (dataclasses.replace(PLAN, scratch=PLAN.scratch[:-1]), "plan it again"),
        (dataclasses.replace(PLAN, tensors=(None,) * len(PLAN.tensors)), "no offset"),
    ],
)
def test_broken_plans(plan, reason):
    with pytest.raises(CompileError, match=reason):
        compile_model(CONTENT, plan)


def test_streamed_plans_need_a_strip_and_a_patch_embedding():
    small = fused_models.stacked_plan(OPS, streamed=True)
    with pytest.raises(CompileError, match="strip has 16 bytes, the patch embedding needs 144"):
        compile_model(CONTENT, dataclasses.replace(small, strip=Span(0, 16)))
    graph = tflite.parse(CONTENT).graph
    first = dataclasses.replace(graph.operators[0], opcode="CONV_2D", custom_code="")
    graph = dataclasses.replace(graph, operators=(first, *graph.operators[1:]))
    with pytest.raises(CompileError, match="first operator is VitPatchEmbed"):
        compile_graph(graph, small, False)
