# SPDX-License-Identifier: Apache-2.0
"""Builtin operators: NumPy equals the TFLM wheel, and C equals NumPy, on every value."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter import builtins, tflite
from converter.compile.sources import BUILTINS
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.runtimes.host import HostModel
from converter.tflite.schema import schema
from tests.tflm_custom_ops.builtins import (
    cases,
    combined,
    more_cases,
    move_cases,
    one_op,
    product_cases,
)
from tests.tflm_custom_ops.builtins.generators import GENERATORS
from tflm_custom_ops.builtins.params import quantize_multiplier
from tflm_custom_ops.builtins.rescale import rescale
from tflm_custom_ops.builtins.schedule import STACK_BYTES, conv_schedule


def run_reference(case: cases.Case) -> tuple[np.ndarray, ...]:
    return builtins.run_builtin(case.tensors, case.operator, *case.inputs)


@pytest.mark.parametrize("generate", GENERATORS, ids=lambda g: g.__name__)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_reference_equals_tflm_and_litert(generate, seed):
    case = generate(np.random.default_rng(seed))
    want = run_reference(case)
    runs = ((one_op.run_litert, case.litert), (one_op.run_tflm, case.wheel))
    for run in (run for run, there in runs if there):
        for y, z in zip(want, run(case.model, *case.inputs), strict=True):
            np.testing.assert_array_equal(y, z, f"{run.__name__} {case.operator}")


@pytest.mark.parametrize("seed", [2, 9, 85, 151])  # LiteRT differs by one
def test_the_reference_runtime_rounds_a_layer_as_tflm(seed):
    case = cases.fully_connected(np.random.default_rng(seed))
    (want,) = one_op.run_tflm(case.model, *case.inputs)
    assert (one_op.run_litert(case.model, *case.inputs)[0] != want).any()
    runtime = open_runtime("reference", tflite.serialize(case.model))
    np.testing.assert_array_equal(runtime.run(*case.inputs)[0], want)


def test_scales_of_a_product_are_multiplied_in_float32():
    """With a factor in double precision one of these 810,000 outputs differs."""
    case = product_cases.large_layer(np.random.default_rng(5))
    (want,) = one_op.run_tflm(case.model, *case.inputs)
    np.testing.assert_array_equal(run_reference(case)[0], want)


def test_factors_of_a_difference_are_computed_in_float32():
    """The scales of an image and its mean (Keras' Normalization); in float64 one value differs."""
    every = np.arange(-128, 128, dtype=np.int8)
    scales = ((1.0, -128), (0.48235294, -128), (1.0745099, -14))
    tensors = [one_op.activation(n, (256, 256), *s) for n, s in zip("aby", scales, strict=True)]
    model = one_op.model("SUB", schema.SubOptionsT(), tensors[:2], tensors[2], version=2)
    inputs = np.repeat(every, 256).reshape(256, 256), np.tile(every, 256).reshape(256, 256)
    (want,) = one_op.run_tflm(model, *inputs)
    assert (one_op.run_litert(model, *inputs)[0] != want).any()
    runtime = open_runtime("reference", tflite.serialize(model))
    np.testing.assert_array_equal(runtime.run(*inputs)[0], want)


def test_one_element_is_taken_from_its_place():
    """By places alone NumPy copies: the copy's address was taken for a place in the tensor."""
    options = schema.StridedSliceOptionsT()
    options.shrinkAxisMask = 3
    options.beginMask = options.endMask = options.ellipsisMask = options.newAxisMask = 0
    x, y = one_op.activation("x", (2, 3), 0.1, 0), one_op.activation("y", (), 0.1, 0)
    bounds = (("begin", [1, 2]), ("end", [2, 3]), ("step", [1, 1]))
    after = [one_op.constant(n, np.array(v, np.int32)) for n, v in bounds]
    model = one_op.model("STRIDED_SLICE", options, [x, *after], y, version=1)
    pixels = np.arange(6, dtype=np.int8).reshape(2, 3)
    content = plan_model(tflite.serialize(model)).model_bytes
    for name in ("reference", "host"):
        (got,) = open_runtime(name, content).run(pixels)
        np.testing.assert_array_equal(got, 5, name)


def test_the_nearest_pixel_is_rounded_in_double_precision():
    """41 times 1/82 in float32 is 0.49999997, of which adding a half in float32 makes 1."""
    options = schema.ResizeNearestNeighborOptionsT()
    options.alignCorners, options.halfPixelCenters = True, False
    x, y = (one_op.activation("x", (1, 2, n, 1), 0.1, 0) for n in (2, 83))
    size = one_op.constant("size", np.array([2, 83], np.int32))
    model = one_op.model("RESIZE_NEAREST_NEIGHBOR", options, [x, size], y)
    pixels = np.array([1, 2, 3, 4], np.int8).reshape(x.shape)
    (want,) = one_op.run_tflm(model, pixels)
    assert want[0, 0, 41] == 1
    np.testing.assert_array_equal(run_reference(cases.Case(model, (pixels,)))[0], want)


@pytest.mark.parametrize("seed", range(8))
def test_the_reference_runtime_adds_and_tiles_as_defined(seed):
    for generate in (more_cases.total, move_cases.tile):
        case = generate(np.random.default_rng(seed))
        runtime = open_runtime("reference", tflite.serialize(case.model))
        np.testing.assert_array_equal(runtime.run(*case.inputs)[0], run_reference(case)[0])


@pytest.mark.parametrize("free_bytes", [0, 1 << 15])
def test_c_equals_the_reference(free_bytes):
    """Eight random cases of each operator, compiled into one model."""
    rng = np.random.default_rng(free_bytes)
    group = [generate(rng) for generate in GENERATORS for _ in range(8)]
    # Convolutions that need several chunks of inputs and several groups of channels.
    group += [cases.conv_2d(rng, channels=c, outputs=o) for c, o in ((61, 70), (300, 9), (1, 65))]
    model, inputs = combined.combine(group)
    compiled = HostModel(
        tflite.serialize(model), combined.separate_buffers(model.graph, free_bytes)
    )
    got = compiled.run_stacks(inputs, threads=1)
    results = iter(got)
    for case in group:
        for want in run_reference(case):
            y = next(results)
            assert y.dtype == want.dtype
            np.testing.assert_array_equal(y[0], want, f"{case.operator}")


@settings(max_examples=100, deadline=None)
@given(
    inputs=st.integers(1, 5000),
    outputs=st.integers(1, 600),
    pixels=st.integers(1, 300),
    budget=st.integers(STACK_BYTES, 1 << 16),
)
def test_convolution_schedules_fit(inputs, outputs, pixels, budget):
    cut = conv_schedule(inputs, outputs, pixels, budget)
    assert cut.scratch_bytes <= budget
    assert cut.rows % 2 == 0
    assert cut.rows <= max(4, pixels + pixels % 2)
    assert cut.inputs % 2 == cut.channels % 2 == 0
    assert min(cut.rows, cut.inputs, cut.channels) > 0


def test_the_stack_budget_is_the_same_in_c():
    header = (BUILTINS / "vit_builtins.h").read_text()
    assert f"#define VIT_CONV_2D_STACK_BYTES {STACK_BYTES}\n" in header


def test_convolutions_run_on_the_stack_or_in_the_arena():
    """A lone convolution: without a free byte (inputs and channels are cut), and with enough."""
    case = cases.conv_2d(np.random.default_rng(5), channels=40, outputs=40)
    (want,) = run_reference(case)
    for free, function in ((0, b"vit_conv_2d_on_stack("), (1 << 14, b"vit_conv_2d(")):
        plan = combined.separate_buffers(case.model.graph, free)
        model = HostModel(tflite.serialize(case.model), plan)
        source = next(f.content for f in model.compiled.files if f.name == "vit_model.c")
        assert b"  " + function in source
        np.testing.assert_array_equal(model.run_checked(*case.inputs), want.reshape(1, -1))


def test_rescale_rounds_twice():
    """0.5 - 2**-31 rounds up twice to 1, which a single rounding would not."""
    one = quantize_multiplier(0.5)
    just_below = dataclasses.replace(one, multiplier=one.multiplier - 1)
    x = np.array([1, -1, 3, -3], np.int64)
    got = rescale(x << 20, just_below.multiplier, just_below.shift - 20)
    np.testing.assert_array_equal(got, [1, -1, 2, -2])


@pytest.mark.parametrize("factor", [0.0, 1e-12, 0.3, 0.5, 0.99999999999, 1.0, 7.25, 2.0**35])
def test_quantize_multiplier(factor):
    m = quantize_multiplier(factor)
    value = m.multiplier * 2.0 ** (m.shift - 31)
    limit = 2.0**30
    assert m.multiplier == 0 or 2**30 <= m.multiplier < 2**31
    assert value == pytest.approx(min(factor, limit), rel=2.0**-30, abs=1e-9)


def test_forms_that_are_not_supported_are_named():
    case = cases.conv_2d(np.random.default_rng(0), channels=4, outputs=4)
    tensors = list(case.tensors)
    quantization = tflite.Quantization.per_tensor(0.01, 100)
    tensors[1] = dataclasses.replace(tensors[1], quantization=quantization)
    with pytest.raises(builtins.BuiltinError, match=r"CONV_2D: weights.*about the zero point"):
        builtins.params_of(tensors, case.operator)
    unknown = dataclasses.replace(case.operator, opcode="LSTM")
    with pytest.raises(builtins.BuiltinError, match=r"LSTM is not supported.*CONV_2D"):
        builtins.params_of(case.tensors, unknown)
    floats = [dataclasses.replace(t, dtype=np.dtype(np.float32)) for t in case.tensors]
    with pytest.raises(builtins.BuiltinError, match="expected quantized int8"):
        builtins.params_of(floats, case.operator)


@pytest.mark.parametrize(
    "generate", [cases.fully_connected, cases.conv_2d, cases.depthwise_conv_2d]
)
def test_weights_with_zero_points_are_those_without(generate):
    """The same layer with all its weights and their zero points moved by as much."""
    case = generate(np.random.default_rng(3))
    tensors = list(case.tensors)
    weights = tensors[1]
    small = (weights.data // 2).astype(np.int8)
    q = weights.quantization
    points = np.random.default_rng(4).integers(-60, 60, len(q.scale))
    axis = [-1 if i == q.axis and len(points) > 1 else 1 for i in range(small.ndim)]
    moved = (small + points.reshape(axis)).astype(np.int8)
    results = []
    for data, zero_point in ((small, np.zeros_like(points)), (moved, points)):
        quantization = dataclasses.replace(q, zero_point=zero_point)
        tensors[1] = dataclasses.replace(weights, data=data, quantization=quantization)
        results.append(builtins.run_builtin(tensors, case.operator, *case.inputs)[0])
    np.testing.assert_array_equal(*results)


def test_the_documentation_lists_what_is_supported():
    text = (Path(__file__).parents[3] / "docs" / "compiled_runtime.md").read_text()
    section = text.split("## Builtin operators")[1].split("##")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(named) == sorted(builtins.SUPPORTED)
    assert set(builtins.SUPPORTED) == {
        g(np.random.default_rng(s)).operator.opcode for g in GENERATORS for s in range(40)
    } | {"SQUEEZE", "EXPAND_DIMS"}
