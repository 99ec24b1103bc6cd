# SPDX-License-Identifier: Apache-2.0
"""Networks of several stages: their blocks fuse, and the runtimes compute the same."""

import collections

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from converter import tflite
from converter.compile.weights import stored_bytes
from converter.fuse import fuse_model
from converter.inspect.report import inspect_model
from converter.plan import plan_graph, plan_model
from converter.plan.weightless import weightless_graph
from converter.quantize.ptq import quantize
from converter.runtimes import open_runtime
from converter.weight_bits.fused import round_file
from converter.weight_bits.wanted import WeightBits
from keras_models.arch import ArchConfig
from keras_models.load import resolve_arch
from keras_models.stages import AttentionStage
from keras_models.vit import build_vit, random_weights
from nas.cost.model import CostModel
from nas.cost.targets import Target
from tests.keras_models.staged_archs import staged_archs
from tflm_custom_ops.ops import operator_of


def fused(arch):
    rng = np.random.default_rng(0)
    shape = (4, arch.image_size, arch.image_size, arch.channels)
    images = rng.uniform(-1, 1, shape).astype(np.float32)
    plain = quantize(random_weights(build_vit(arch), 1), arch, images)
    if wanted := WeightBits.of_arch(arch):
        plain = round_file(plain, wanted).model_bytes
    planned = plan_model(fuse_model(plain).model_bytes)
    expect_foreseen(planned, arch)
    return planned.model_bytes


def convolved_channels(arch):
    """Of each convolution of a network, of stages or of blocks."""
    if isinstance(arch, ArchConfig):
        return [layer.channels for layer in arch.stem]
    blocks = [b for s, source in arch.walk() for b in s.convolutions(source)]
    return [c.outputs for b in blocks for c in b] + [layer.channels for layer in arch.stem]


def expect_foreseen(planned, arch):
    """Operators, arena and schedules are those that were known before training."""
    foreseen, placed = plan_graph(*weightless_graph(arch))
    stated = planned.model_problem
    assert placed.arena_bytes == (planned.plan.arena_bytes,)
    names = [[op.name for op in each.graph.operators] for each in (stated, foreseen)]
    assert names[0] == names[1]
    figures = [
        [(operator_of(op).scratch_bytes, operator_of(op).constant_bytes) for op in each.ops if op]
        for each in (stated, foreseen)
    ]
    assert figures[0] == figures[1]
    # The image of the weights has equal arrays, of shifts, once.
    shifts = sum(stored_bytes(4 * c) for c in convolved_channels(arch))
    constants = CostModel(Target(), streamed=False).cost(arch).constant_bytes
    found = inspect_model(planned.model_bytes).constant_bytes
    assert constants - 2 * shifts <= found <= constants


def expect_equal(content, arch, names):
    shape = (3, 1, arch.image_size, arch.image_size, arch.channels)
    images = np.random.default_rng(2).integers(-128, 128, shape).astype(np.int8)
    expected = [open_runtime("reference", content).run(image)[0] for image in images]
    assert len({each.tobytes() for each in expected}) > 1
    for name in names:
        runtime = open_runtime(name, content)
        for image, logits in zip(images, expected, strict=True):
            np.testing.assert_array_equal(runtime.run(image)[0], logits, err_msg=name)


@given(staged_archs(relative=False))
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_random_stages_run_equal(arch):
    content = fused(arch)
    counts = collections.Counter(op.name for op in tflite.parse(content).graph.operators)
    blocks = sum(stage.depth for stage in arch.stages if isinstance(stage, AttentionStage))
    assert counts["VitAttention"] + counts["VitAttentionCore"] == counts["VitMlp"] == blocks
    expect_equal(content, arch, ["host"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_stages", "test_windows", "test_relative"])
def test_every_kind_of_stage(name):
    arch = resolve_arch(name)
    content = fused(arch)
    expect_equal(content, arch, ["host", "tflm"])
    if name == "test_relative":  # the published networks' attention is whole
        names = [op.name for op in tflite.parse(content).graph.operators]
        assert names.count("VitAttention") == arch.depth
