# SPDX-License-Identifier: Apache-2.0
"""Planning whole models: sizes that the project promises, metadata, overwriting, budgets."""

import dataclasses
import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.plan import (
    OverBudgetError,
    PlanError,
    heuristic,
    lifetimes,
    metadata,
    plan_graph,
    plan_model,
    planner,
    read_plan,
)
from converter.plan.patch_overlap import is_safe
from converter.plan.validate import violations
from converter.plan.weightless import weightless_graph
from converter.tflite import Metadata, parse, serialize
from keras_models.arch import ArchConfig, BlockRanks
from keras_models.presets import PRESETS
from tests.converter.plan.vit_models import fused_model, plain_graph
from tflm_custom_ops.ops import Attention, Mlp, decode, encode

PROMISES = [  # preset, residual bits, streamed, bytes of arena
    ("vit_t_240", 8, True, 120_000),
    ("vit_t_240", 8, False, 190_000),
    ("vit_t_240", 16, True, 185_000),
    ("vit_t_240", 16, False, 230_000),
    ("mcuformer_t_max", 8, True, 140_000),
    ("mcuformer_t_max", 8, False, 225_000),
    ("vit_s_240", 8, True, 212_000),
]
PATCHES = [(16, 0), (20, 0), (24, 0), (28, 6), (32, 8)]
FUSED_PRESETS = [n for n in PRESETS if not PRESETS[n].stem]


@pytest.mark.parametrize(("preset", "bits", "streamed", "promise"), PROMISES)
def test_arena_of_the_presets(preset, bits, streamed, promise):
    stated, placement = plan_graph(*weightless_graph(PRESETS[preset], bits), streamed)
    assert placement.arena_bytes[0] <= promise
    assert placement.optimal
    assert violations(stated.problem, placement.offsets) == []
    for op in stated.ops:
        if isinstance(op, Attention | Mlp):
            assert op.token_tile % 2 == 0
            assert op.token_tile >= 12


@pytest.mark.parametrize("preset", FUSED_PRESETS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("streamed", [False, True])
def test_every_fused_preset_is_planned_optimally(preset, bits, streamed):
    _, placement = plan_graph(*weightless_graph(PRESETS[preset], bits), streamed)
    assert placement.optimal


@pytest.mark.parametrize(("patch", "pad"), PATCHES)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pool", ["mean", "cls"])
@pytest.mark.parametrize("streamed", [False, True])
def test_every_patch_size_is_planned_optimally(patch, pad, bits, pool, streamed):
    arch = ArchConfig.uniform(
        depth=2, heads=4, embed_dim=216, patch_size=patch, patch_padding=pad, pool=pool
    )
    stated, placement = plan_graph(*weightless_graph(arch, bits), streamed)
    assert placement.optimal
    assert violations(stated.problem, placement.offsets) == []


def test_fused_file_round_trip():
    content = fused_model(PRESETS["vit_t_240"])
    planned = plan_model(content, streamed=True)
    assert read_plan(planned.model_bytes) == planned.plan
    weightless = plan_graph(*weightless_graph(PRESETS["vit_t_240"]), streamed=True)[1]
    assert planned.plan.arena_bytes == weightless.arena_bytes[0]  # one cost model
    assert planned.plan.optimal
    assert planned.plan.strip is not None
    assert planned.plan.strip.size_bytes == 16 * 240 * 3
    again = plan_model(planned.model_bytes, streamed=False)
    assert not again.plan.streamed
    assert again.plan.arena_bytes > planned.plan.arena_bytes
    assert plan_model(again.model_bytes, streamed=True).model_bytes == planned.model_bytes


def test_the_schedule_is_written_into_the_options_and_nothing_else_changes():
    content = fused_model(PRESETS["test_lowrank"])
    planned = plan_model(content)
    before, after = parse(content).graph, parse(planned.model_bytes).graph
    for op, fused in zip(after.operators, planned.model_problem.ops, strict=True):
        read = decode(op.custom_options, after.tensors[op.inputs[1]].data.tobytes())
        for field in ("token_tile", "heads_at_a_time", "hidden_tile"):
            assert getattr(read, field, None) == getattr(fused, field, None)
        assert encode(read) == encode(fused)
    for t, u in zip(before.tensors, after.tensors, strict=True):
        assert t.name == u.name
        assert (t.data is None and u.data is None) or np.array_equal(t.data, u.data)


def test_offline_memory_allocation_has_an_entry_for_every_tensor():
    planned = plan_model(fused_model(PRESETS["test_tiny"]))
    model = parse(planned.model_bytes)
    data = next(m.data for m in model.metadata if m.name == "OfflineMemoryAllocation")
    words = struct.unpack(f"<{len(data) // 4}i", data)
    tensors = model.graph.tensors
    assert words[:3] == (1, 1, len(tensors))
    for tensor, offset, span in zip(tensors, words[3:], planned.plan.tensors, strict=True):
        assert (offset == -1) == tensor.is_constant
        assert offset % 16 == 0 or tensor.is_constant
        assert offset == (-1 if span is None else span.offset)


def test_tokens_stay_in_place_from_patch_embedding_to_pooling():
    plan = plan_model(fused_model(PRESETS["vit_t_240"])).plan
    stated = plan_model(fused_model(PRESETS["vit_t_240"])).model_problem
    places = [
        plan.tensors[op.outputs[0]].offset
        for op in stated.graph.operators
        if op.name in ("VitPatchEmbed", "VitAttention", "VitMlp")
    ]
    # But for the one operator that leaves the place under the image (converter.plan.arrange).
    assert sum(a != b for a, b in itertools.pairwise(places)) <= 1
    image, tokens = plan.tensors[0], plan.tensors[stated.graph.operators[0].outputs[0]]
    assert tokens.offset < image.offset < tokens.end


def test_streamed_image_has_no_bytes_but_tflm_puts_it_under_the_tokens():
    planned = plan_model(fused_model(PRESETS["test_tiny"]), streamed=True)
    assert planned.plan.tensors[0] is None
    data = next(
        m.data for m in parse(planned.model_bytes).metadata if m.name == "OfflineMemoryAllocation"
    )
    image = struct.unpack_from("<i", data, 12)[0]
    first = planned.model_problem.ops[0]
    tokens = planned.plan.tensors[planned.model_problem.graph.operators[0].outputs[0]]
    assert is_safe(first, image - tokens.offset)


def test_streaming_needs_the_patch_embedding_first():
    with pytest.raises(PlanError, match=r"op 0 CONV_2D.* expected VitPatchEmbed"):
        plan_graph(*weightless_graph(PRESETS["test_stem"]), streamed=True)


def test_a_budget_buys_larger_tiles_and_is_kept():
    arch, traffic = PRESETS["vit_t_240"], []
    for budget in (125_000, 140_000, 180_000, 250_000):
        stated, placement = plan_graph(*weightless_graph(arch), True, budget)
        assert placement.arena_bytes[0] <= budget
        tiles = [op.token_tile for op in stated.ops if isinstance(op, Mlp)]
        traffic.append(sum(-(-225 // tile) for tile in tiles))
    assert traffic == sorted(traffic, reverse=True)
    assert traffic[0] > traffic[-1]


def test_over_budget_names_the_peak_the_bytes_and_a_remedy():
    content = fused_model(PRESETS["vit_t_240"])
    with pytest.raises(OverBudgetError) as resident:
        plan_model(content, arena_budget=150_000)
    message = str(resident.value)
    assert "op 0 VitPatchEmbed needs 178,048 bytes" in message
    assert "150,000" in message
    assert "streamed input (smallest arena" in message
    with pytest.raises(OverBudgetError, match=r"VitAttention needs .* a smaller network"):
        plan_model(content, streamed=True, arena_budget=60_000)


@pytest.mark.parametrize("preset", ["vit_t_240", "test_tiny"])
def test_plain_graph_is_within_one_percent_of_the_bound(preset):
    graph = plain_graph(PRESETS[preset])
    if preset == "vit_t_240":
        assert len(graph.operators) > 500
    stated = lifetimes.model_problem(graph, (None,) * len(graph.operators))
    placement = planner.place(stated.problem)
    assert placement.gap <= 0.01
    assert placement.arena_bytes <= heuristic.greedy_by_size(stated.problem).arena_bytes
    assert violations(stated.problem, placement.offsets) == []


def test_in_place_saves_memory_in_the_plain_graph():
    arch = ArchConfig.uniform(depth=2, heads=6, embed_dim=64, mlp_ratio=2.0)
    graph = plain_graph(arch)  # the scores dominate: SOFTMAX in place halves the peak
    stated = lifetimes.model_problem(graph, (None,) * len(graph.operators))
    assert len(stated.problem.overwrites) > 20
    apart = dataclasses.replace(stated.problem, overwrites=())
    assert planner.place(stated.problem).arena_bytes < planner.place(apart).arena_bytes


def test_an_input_that_is_still_needed_is_not_overwritten():
    """The residual: x is read by LayerNorm first and by ADD later."""
    graph = plain_graph(PRESETS["test_tiny"])
    stated = lifetimes.model_problem(graph, (None,) * len(graph.operators))
    uppers = {b.id: b.upper for b in stated.problem.buffers}
    lowers = {b.id: b.lower for b in stated.problem.buffers}
    for o in stated.problem.overwrites:
        assert uppers[o.before] == lowers[o.after] + 1


def test_a_graph_output_lives_to_the_end_wherever_it_is_made():
    graph = plain_graph(PRESETS["test_tiny"])
    early = graph.operators[3].outputs[0]
    graph = dataclasses.replace(graph, outputs=(early, *graph.outputs))
    stated = lifetimes.model_problem(graph, (None,) * len(graph.operators))
    buffer = stated.problem.buffers[stated.problem.index[lifetimes.tensor_id(early)]]
    assert (buffer.lower, buffer.upper) == (4, len(graph.operators) + 1)


def broken(model, data):
    others = tuple(m for m in model.metadata if m.name != metadata.PLAN_NAME)
    return serialize(
        dataclasses.replace(model, metadata=(*others, Metadata(metadata.PLAN_NAME, data)))
    )


def test_a_damaged_or_foreign_plan_is_refused():
    planned = parse(plan_model(fused_model(PRESETS["test_tiny"])).model_bytes)
    data = next(m.data for m in planned.metadata if m.name == metadata.PLAN_NAME)
    with pytest.raises(PlanError, match="no VitPlan"):
        read_plan(fused_model(PRESETS["test_tiny"]))
    for bad, message in [
        (data[:20], "20 bytes"),
        (data[:-4], "words"),
        (b"XXXX" + data[4:], "magic"),
        (data[:4] + struct.pack("<i", 9) + data[8:], "version 9"),
    ]:
        with pytest.raises(PlanError, match=message):
            read_plan(broken(planned, bad))
    other = parse(plan_model(fused_model(PRESETS["test_gelu_tanh"])).model_bytes)
    with pytest.raises(PlanError, match="plan the model again"):
        read_plan(broken(other, data))
    operators = list(planned.graph.operators)
    words = bytearray(operators[1].custom_options)
    struct.pack_into("<i", words, 4 * 8, 3)  # another token tile needs other scratch
    operators[1] = dataclasses.replace(operators[1], custom_options=bytes(words))
    graph = dataclasses.replace(planned.graph, operators=tuple(operators))
    with pytest.raises(PlanError, match="another graph or schedule"):
        read_plan(serialize(dataclasses.replace(planned, graph=graph)))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_architecture_is_planned_safely_and_tightly(data):
    depth = data.draw(st.integers(1, 3))
    rank = data.draw(st.sampled_from([0, 4, 8]))
    patch, pad = data.draw(st.sampled_from([(8, 0), (16, 0), (12, 0), (14, 1), (20, 2)]))
    arch = ArchConfig(
        image_size=96,
        patch_size=patch,
        patch_padding=pad,
        embed_dim=2 * data.draw(st.integers(8, 100)),
        heads=tuple(data.draw(st.integers(1, 5)) for _ in range(depth)),
        mlp_ratio=tuple(data.draw(st.sampled_from([1.0, 2.5, 4.0])) for _ in range(depth)),
        head_dim=data.draw(st.integers(4, 64)),
        ranks=tuple(BlockRanks(rank, min(rank, 4), rank, rank) for _ in range(depth)),
        pool=data.draw(st.sampled_from(["mean", "cls"])),
        num_classes=10,
    )
    bits, streamed = data.draw(st.sampled_from([8, 16])), data.draw(st.booleans())
    stated, placement = plan_graph(*weightless_graph(arch, bits), streamed)
    assert violations(stated.problem, placement.offsets) == []
    assert placement.gap <= 0.01
    budget = placement.arena_bytes[0] + data.draw(st.integers(0, 50_000))
    roomy, second = plan_graph(*weightless_graph(arch, bits), streamed, budget)
    assert violations(roomy.problem, second.offsets) == []
    assert second.arena_bytes[0] <= budget
