# SPDX-License-Identifier: Apache-2.0
"""Patch merging: near the real function, found in plain graphs of every spelling, written over what
it has read, the same in every runtime.

That C and NumPy agree on random parameters is tested with all operators (kernels/, dsp/, tflm/).
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.kernels.random_ops import random_merge
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.tflm_custom_ops import generators
from tflm_custom_ops.ops import operator_of, run_reference
from tflm_custom_ops.ops.patch_merge.operator import weightless
from tflm_custom_ops.ops.scratch import ROW_GROUP

CODES = ["VitPatchMerge"]
CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))  # in Swin's order


def every_second(g, x, row, column, counts):
    """x[:, row::2, column::2, :]"""
    value = g.values[x]
    part = value[:, row::2, column::2][:, : counts[0], : counts[1]]
    ends = (1, row + 2 * counts[0] - 1, column + 2 * counts[1] - 1, value.shape[3])
    places = [g.indices(*v) for v in ((0, row, column, 0), ends, (1, 2, 2, 1))]
    opts = options("StridedSliceOptions", beginMask=9, endMask=9)
    return g.op("STRIDED_SLICE", [x, *places], part, like=x, **opts)


def merged(g, x, spelling, height, width):
    """The neighbours of a map (1, 2 height, 2 width, c) side by side, (1, height, width, 4 c)."""
    c = g.values[x].shape[-1]
    if spelling == "transpose":
        x = g.transpose(g.reshape(x, height, 2, width, 2 * c), 0, 2, 1, 3)
    elif spelling == "blocks":
        value = g.values[x].reshape(1, height, 2, width, 2, c).transpose(0, 1, 3, 2, 4, 5)
        opts = options("SpaceToDepthOptions", blockSize=2)
        x = g.op("SPACE_TO_DEPTH", [x], value.reshape(1, height, width, 4 * c), like=x, **opts)
    elif spelling == "slices":
        parts = [every_second(g, x, row, column, (height, width)) for row, column in CORNERS]
        x = g.concatenation(parts, 3)
    else:
        x = g.gather(g.reshape(x, 4 * height * width, c), turned(height, width), 0)
    return g.reshape(x, 1, height * width, 4 * c)


def turned(height, width):
    """Tokens patch by patch, each from its last to its first."""
    numbers = np.arange(4 * height * width).reshape(height, 2, width, 2).transpose(0, 2, 1, 3)
    return tuple(int(n) for n in numbers.reshape(-1, 4)[:, ::-1].ravel())


def plain_model(spelling="slices", height=3, width=2, channels=8, activation="NONE", tokens=False):
    g = PlainGraph(np.random.default_rng(5))
    shape = (1, 2 * height, 2 * width, channels)
    flat = (1, 4 * height * width, channels)
    x = given = g.input(g.rng.normal(0.0, 1.0, flat if tokens else shape))
    if tokens:
        x = g.reshape(x, *shape)
    y = g.layer_norm(merged(g, x, spelling, height, width))
    return g, given, g.linear(y, 2 * channels, bias=False, activation=activation)


@pytest.mark.parametrize("tokens", [False, True], ids=["map", "tokens"])
@pytest.mark.parametrize("spelling", ["transpose", "slices", "gather", "blocks"])
def test_is_found_and_is_as_near_to_the_floats_as_the_plain_graph(spelling, tokens):
    found = outcome(*plain_model(spelling, tokens=tokens))
    assert list(found.codes) == CODES
    assert found.report.leftovers == ()
    assert found.fused_db > max(30, found.plain_db - 0.5)


def test_an_activation_on_the_layer_stays_behind_other_operators():
    found = outcome(*plain_model(activation="RELU"))
    assert list(found.codes) == ["VitLayerNorm", "VitLinear"]


def test_a_norm_that_others_read_stays_one():
    g, _x, y = plain_model()
    norm = g.operators[-1].inputs[0]
    codes = {op.custom_code for op in fuse_model(g.finish(y, norm)).report.fused}
    assert codes == {"VitLayerNorm", "VitLinear"}


def test_a_patch_whose_tokens_are_no_neighbours_is_none():
    """Columns 0 and 2, 1 and 3: not the squares of a grid."""
    g = PlainGraph(np.random.default_rng(5))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 4, 4, 8)))
    order = tuple(4 * row + column for row in range(4) for column in (0, 2, 1, 3))
    y = merged(g, g.gather(g.reshape(x, 16, 8), order, 0), "transpose", 2, 2)
    found = outcome(g, x, g.linear(g.layer_norm(y), 16))
    assert "VitPatchMerge" not in found.codes


@pytest.mark.parametrize("runtime", ["host", "tflm"])
def test_every_runtime_computes_the_definition_over_what_it_has_read(runtime):
    g, _, y = plain_model(height=8, width=6)
    planned = plan_model(fuse_model(g.finish(y)).model_bytes)
    graph, spans = planned.model_problem.graph, planned.plan.tensors
    begins = {spans[t].offset for t in (*graph.inputs, *graph.outputs)}
    assert len(begins) == 1  # y begins where x does
    rng = np.random.default_rng(8)
    reference, other = (open_runtime(n, planned.model_bytes) for n in ("reference", runtime))
    for _ in range(3):
        image = rng.integers(-128, 128, reference.inputs[0].shape).astype(np.int8)
        assert np.array_equal(reference.run(image)[0], other.run(image)[0])


def is_safe(op, margin):
    """Byte by byte: whether no token of y lands on one of x that a later group reads."""
    size = op.bits // 8
    readers = np.zeros((op.grid_height, op.stride, op.grid_width, op.stride), np.int64)
    readers += np.arange(op.tokens).reshape(op.grid_height, 1, op.grid_width, 1) // ROW_GROUP
    last_reader = np.repeat(readers.reshape(-1), op.channels * size)
    token = op.linear.out_features * size
    for group in range(0, op.tokens, ROW_GROUP):
        begin, end = group * token, min(group + ROW_GROUP, op.tokens) * token
        touched = last_reader[max(0, begin - margin) : max(0, end - margin)]
        if np.any(touched > group // ROW_GROUP):
            return False
    return True


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_margin_is_the_smallest_that_is_safe(seed):
    op = generators.patch_merge(np.random.default_rng(seed))
    margin = operator_of(op).overwrite_margin
    assert margin >= 0
    assert is_safe(op, margin)
    assert margin == 0 or not is_safe(op, margin - 1)


def test_margin_of_swin_is_nothing():
    """Twice the channels for a quarter of the tokens: y never catches up with x."""
    assert operator_of(weightless(28, 2, 64, 128)).overwrite_margin == 0
    assert operator_of(weightless(28, 2, 64, 224)).overwrite_margin > 0


def test_result_is_the_real_one_rounded():
    """LayerNorm and layer with factors that leave no doubt about the order of features."""
    op = generators.patch_merge(np.random.default_rng(3), bits=8)
    s, x = op.stride, generators.random_input(op, np.random.default_rng(4))
    grid = x.reshape(op.grid_height * s, op.grid_width * s, op.channels)
    row = np.concatenate([grid[i, j] for i in range(s) for j in range(s)])
    first = dataclasses.replace(op, grid_height=1, grid_width=1)
    assert np.array_equal(run_reference(first, row)[0], run_reference(op, x)[0])


@pytest.mark.parametrize(("bits", "channels"), [(8, 513), (16, 161)])
def test_too_wide_says_what_to_do(bits, channels):
    with pytest.raises(ValueError, match="make the tokens narrower"):
        weightless(2, 2, channels, 8, bits=bits)


def test_cost_counts_every_byte_that_is_copied():
    op = random_merge(np.random.default_rng(1))
    kind = operator_of(op)
    assert kind.accesses.inputs == (kind.inputs[0].count * op.bits // 8,)
