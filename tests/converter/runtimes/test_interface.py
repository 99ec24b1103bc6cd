# SPDX-License-Identifier: Apache-2.0
"""open_runtime: every type, rank and number of inputs and outputs goes through unchanged."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.runtimes import RuntimeUnavailableError, TensorSpec, open_runtime
from converter.tflite import serialize
from tests.converter.runtimes.edges import INT8, INT16, UINT8, Edges, int8_then, random_array

PYTHON_RUNTIMES = ("reference", "litert", "tflm")
SHAPES = [(7,), (2, 3), (1, 4, 5), (1, 3, 4, 2)]


@pytest.mark.parametrize("name", PYTHON_RUNTIMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, None), (np.uint8, UINT8), (np.int16, INT16), (np.int8, (0.07, 5))],
    ids=["float32", "uint8", "int16", "int8"],
)
def test_types_and_ranks(name, shape, dtype, scale):
    runtime = open_runtime(name, int8_then(shape, dtype, scale))
    (spec,) = runtime.inputs
    assert (spec.shape, spec.dtype) == (shape, np.dtype(dtype))
    if scale is None:
        assert (spec.scale, spec.zero_point) == (None, None)
    else:
        assert (spec.scale, spec.zero_point) == (pytest.approx(scale[0]), scale[1])
    x = random_array(np.random.default_rng(5), shape, dtype)
    real = x if scale is None else scale[0] * (x.astype(np.float64) - scale[1])
    expected = np.clip(np.round(real / INT8[0]) + INT8[1], -128, 127)
    outer, inner = runtime.run(x)
    assert (outer.shape, outer.dtype) == (shape, np.dtype(dtype))
    assert (inner.shape, inner.dtype) == (shape, np.dtype(np.int8))
    assert np.abs(inner - expected).max() <= 1  # ties
    assert len(np.unique(inner)) > 1


@pytest.mark.parametrize("name", PYTHON_RUNTIMES)
def test_a_scalar_is_an_input(name):
    graph = Edges()
    x, factor = graph.x((2, 3), np.float32), graph.x((), np.float32)
    y = graph.op("MUL", (x, factor), (2, 3), np.float32, None, "MulOptions")
    runtime = open_runtime(name, graph.content(y))
    assert runtime.inputs[1].shape == ()
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(runtime.run(values, np.float32(3))[0], 3 * values)


def several(rows=3):
    """Token ids, a table, and another int8 input that is added; two outputs in swapped order."""
    graph = Edges()
    ids = graph.x((1, rows), np.int32)
    other = graph.x((1, rows, 4), np.int8, INT8)
    table = np.arange(40, dtype=np.int8).reshape(10, 4) - 20
    weights = graph.tensor(table.shape, np.int8, INT8, table)
    taken = graph.op("GATHER", (weights, ids), (1, rows, 4), np.int8, INT8, "GatherOptions", axis=0)
    total = graph.op("ADD", (taken, other), (1, rows, 4), np.int8, (0.1, 0), "AddOptions")
    return graph.content(total, taken), table


@pytest.mark.parametrize("name", PYTHON_RUNTIMES)
def test_several_inputs_and_outputs(name):
    content, table = several()
    runtime = open_runtime(name, content)
    assert [str(spec) for spec in runtime.inputs] == ["int32 [1, 3]", "int8 [1, 3, 4]"]
    assert runtime.inputs[0] == TensorSpec("t0", (1, 3), np.dtype(np.int32), None, None)
    ids = np.array([[9, 0, 4]], np.int32)
    other = random_array(np.random.default_rng(3), (1, 3, 4), np.int8)
    total, taken = runtime.run(ids, other)
    np.testing.assert_array_equal(taken, table[ids])
    real = 0.05 * (table[ids].astype(float) + 3 + other + 3)
    assert np.abs(total - np.clip(np.round(real / 0.1), -128, 127)).max() <= 1
    stacks = np.stack([ids, ids[:, ::-1]]), np.stack([other, other])
    batch = runtime.run_batch(*stacks)
    assert [y.shape for y in batch] == [(2, 1, 3, 4)] * 2
    np.testing.assert_array_equal(batch[0][0], total)
    np.testing.assert_array_equal(batch[1][1], table[ids[:, ::-1]])


@pytest.mark.parametrize("name", PYTHON_RUNTIMES)
def test_results_belong_to_the_caller(name):
    runtime = open_runtime(name, int8_then((2, 3), np.uint8, UINT8))
    first = runtime.run(np.full((2, 3), 125, np.uint8))[1]
    kept = first.copy()
    runtime.run(np.full((2, 3), 7, np.uint8))
    np.testing.assert_array_equal(first, kept)


WRONG = [
    ((), "inputs: got 0, expected 2: 't0' int32 [1, 3], 't1' int8 [1, 3, 4]"),
    (
        (np.zeros((1, 3), np.int64), np.zeros((1, 3, 4), np.int8)),
        "input 't0': got int64 [1, 3], expected int32 [1, 3]",
    ),
    (
        (np.zeros((1, 3), np.int32), np.zeros((3, 4), np.int8)),
        "input 't1': got int8 [3, 4], expected int8 [1, 3, 4]",
    ),
]


@pytest.mark.parametrize("name", PYTHON_RUNTIMES)
@pytest.mark.parametrize(("arrays", "message"), WRONG, ids=["count", "dtype", "shape"])
def test_wrong_arrays_are_one_line(name, arrays, message):
    runtime = open_runtime(name, several()[0])
    with pytest.raises(ValueError) as info:
        runtime.run(*arrays)
    assert str(info.value) == message


def test_stacks_of_different_lengths_are_refused():
    runtime = open_runtime("reference", several()[0])
    with pytest.raises(ValueError, match=r"input 't1': got int8 \[2, 1, 3, 4\], expected int8 \[3"):
        runtime.run_batch(np.zeros((3, 1, 3), np.int32), np.zeros((2, 1, 3, 4), np.int8))


@pytest.mark.parametrize("name", ["reference", "litert", "host", "tflm", "emulated"])
def test_what_is_no_model_is_one_line(name):
    with pytest.raises(RuntimeUnavailableError, match=f"^{name}: got .* expected") as info:
        open_runtime(name, b"not a model at all")
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("name", ["reference", "litert", "tflm"])
def test_an_operator_that_a_runtime_lacks_is_one_line(name):
    graph = Edges()
    y = graph.op("CUSTOM", (graph.x((1, 4), np.int8, INT8),), (1, 4), np.int8, INT8)
    model = graph.model(y)
    op = dataclasses.replace(model.graph.operators[0], custom_code="Elsewhere")
    changed = dataclasses.replace(model, graph=dataclasses.replace(model.graph, operators=(op,)))
    with pytest.raises(RuntimeUnavailableError, match=f"^{name}: ") as info:
        open_runtime(name, serialize(changed))
    assert "\n" not in str(info.value)
