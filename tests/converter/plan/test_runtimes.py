# SPDX-License-Identifier: Apache-2.0
"""Planned files in the runtimes: plans never change a logit, and arenas are as planned."""

import dataclasses

import numpy as np
import pytest

from converter.compile import CompileError
from converter.fused_ops import decoded
from converter.plan import lifetimes, metadata, plan_model, planner
from converter.plan.model import plan_from, with_schedules
from converter.runtimes.host import HostModel, PlanViolationError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.tflite import parse, serialize
from keras_models.presets import PRESETS
from tests.converter.plan.vit_models import fused_model
from tflm_custom_ops.ops import Attention, Mlp

NETWORKS = [("test_lowrank", 8), ("test_padding", 8), ("test_cls", 16), ("test_mixed", 16)]


def image_of(preset):
    arch = PRESETS[preset]
    shape = (2, arch.image_size, arch.image_size, arch.channels)
    return np.random.default_rng(5).integers(-128, 128, shape).astype(np.int8)


def with_tiles(content, streamed, token_tile, one_head, hidden_parts):
    """The model planned with given tiles instead of the scheduler's."""
    model = parse(content)
    ops = []
    for operator in model.graph.operators:
        op = decoded(model.graph, operator)
        if isinstance(op, Attention):
            heads = 1 if one_head else op.heads
            op = dataclasses.replace(op, token_tile=token_tile, heads_at_a_time=heads)
        if isinstance(op, Mlp):
            hidden = -(-op.hidden_dim // hidden_parts // 4) * 4 or op.hidden_dim
            hidden = min(hidden, op.hidden_dim)
            op = dataclasses.replace(op, token_tile=token_tile, hidden_tile=hidden)
        ops.append(op)
    graph = with_schedules(model.graph, tuple(ops))
    stated = lifetimes.model_problem(graph, tuple(ops), streamed)
    plan = plan_from(stated, planner.place(stated.problem))
    return serialize(metadata.with_plan(dataclasses.replace(model, graph=graph), plan))


@pytest.mark.parametrize(("preset", "bits"), NETWORKS)
def test_logits_are_the_same_in_every_schedule(preset, bits):
    content, images = fused_model(PRESETS[preset], bits, seed=3), image_of(preset)
    expected = HostModel(plan_model(content).model_bytes).run_checked(images)
    assert expected.std() > 0.5
    for variant in (
        plan_model(content, streamed=True).model_bytes,
        plan_model(content, arena_budget=10**6).model_bytes,
        with_tiles(content, False, 3, True, 3),
        with_tiles(content, True, 4, True, 2),
    ):
        np.testing.assert_array_equal(HostModel(variant).run_checked(images), expected)


@pytest.mark.parametrize(("preset", "bits"), NETWORKS)
def test_tflm_takes_the_planned_arena_and_agrees(preset, bits):
    content, images = fused_model(PRESETS[preset], bits, seed=4), image_of(preset)
    planned = plan_model(content)
    tflm = TflmInterpreter(planned.model_bytes)
    assert tflm.arena_usage.head_bytes == planned.plan.arena_bytes
    host = HostModel(planned.model_bytes).run(images)
    for image, logits in zip(images, host, strict=True):
        np.testing.assert_array_equal(tflm.invoke(image[None]).reshape(-1), logits)
    streamed = TflmInterpreter(plan_model(content, streamed=True).model_bytes)
    np.testing.assert_array_equal(streamed.invoke(images[:1]).reshape(-1), host[0])
    # TFLM's own planner, with the same schedule, keeps two copies of the tokens.
    unplanned = TflmInterpreter(serialize(metadata.without_plan(parse(planned.model_bytes))))
    assert unplanned.arena_usage.head_bytes > planned.plan.arena_bytes


def test_too_small_a_margin_is_caught():
    content, images = fused_model(PRESETS["test_tiny"], 16, seed=3), image_of("test_tiny")
    planned = plan_model(content)
    tokens = planned.model_problem.graph.operators[0].outputs[0]
    image = planned.plan.tensors[0]
    spans = list(planned.plan.tensors)
    assert image.offset > spans[tokens].offset
    spans[0] = dataclasses.replace(image, offset=spans[tokens].offset)
    bad = dataclasses.replace(planned.plan, tensors=tuple(spans))
    with pytest.raises((PlanViolationError, CompileError)):
        HostModel(planned.model_bytes, bad).run_checked(images)
    # Of a file with that plan nothing runs at all.
    with pytest.raises(CompileError, match=r"unsafe plan: .* share bytes"):
        HostModel(serialize(metadata.with_plan(parse(planned.model_bytes), bad)))
