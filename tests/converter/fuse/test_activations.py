# SPDX-License-Identifier: Apache-2.0
"""Functions of one tensor become a table: compositions whole, infinities at the range's end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.fuse.gate.noise import Noise
from converter.fuse.op_semantics import gelu
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Quantization, Tensor
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import equal_everywhere

Build = Callable[[PlainGraph, int], int]


def _softplus(g: PlainGraph, x: int) -> int:
    """log(1 + exp(x)): one function that is finite although the logarithm alone is not."""
    e = g.unary("EXP", x, np.exp(g.value(x)), **options("ExpOptions"))
    total = g.add(e, g.constant(np.array(1.0)))
    return g.unary("LOG", total, np.log(g.value(total)))


def _root(g: PlainGraph, x: int) -> int:
    square = g.mul(x, x)
    return g.unary("SQRT", square, np.sqrt(g.value(square)))


def _reciprocal(g: PlainGraph, x: int) -> int:
    """1 / relu(x), of which 0 is in range: there it is as much as its type holds."""
    positive = g.unary("RELU", x, np.maximum(g.value(x), 0.05))
    return g.div(g.constant(np.array(1.0)), positive)


FUNCTIONS: dict[str, tuple[Build, Callable[[np.ndarray], np.ndarray]]] = {
    "softplus": (_softplus, lambda x: np.log1p(np.exp(x))),
    "root": (_root, np.abs),
    "reciprocal": (_reciprocal, lambda x: 1.0 / np.maximum(x, 1e-9)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_one_table(name: str) -> None:
    build, function = FUNCTIONS[name]
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 16, 16)))
    y = build(g, x)
    result = fuse_model(g.finish(y))
    assert [f.custom_code for f in result.report.fused] == ["VitGelu"]
    assert not result.report.leftovers
    every = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16)
    source, target = g.tensors[x], g.tensors[y]
    real = function(source.scale * (every.astype(float) - source.zero_point))
    want = np.clip(np.floor(real / target.scale + 0.5) + target.zero_point, -128, 127)
    planned = plan_model(result.model_bytes).model_bytes
    for runtime in ("reference", "host", "tflm"):
        got = open_runtime(runtime, planned).run(every)[0]
        np.testing.assert_array_equal(got, want.astype(np.int8), runtime)


def test_a_function_that_is_not_defined_everywhere_stays() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4, 4)))
    y = g.unary("SQRT", x, np.sqrt(np.abs(g.value(x))))
    report = fuse_model(g.finish(y)).report
    assert [leftover.name for leftover in report.leftovers] == ["SQRT"]
    assert "not defined on all of its input's range" in report.leftovers[0].reason


def test_the_gate_counts_values_beside_one_that_is_no_number() -> None:
    """Else an infinity in the float network makes every sum NaN, which nothing is larger than."""
    exact = np.random.default_rng(0).normal(0, 1, (64, 8))
    plain, wrong = exact + 0.01, 1.5 * exact
    exact[3, 2] = np.inf
    noise = Noise(8, 0.01)
    noise.add(exact, wrong, plain)
    assert noise.over_threshold() is not None
    noise = Noise(8, 0.01)
    noise.add(exact, plain, plain)
    assert noise.over_threshold() is None


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_of_floats_is_of_their_type(approximate: bool) -> None:
    """A NumPy scalar in it would make float64 of the gate's values, at twice the time."""
    x = np.linspace(-5, 5, 40_000)
    exact = gelu(x, approximate)
    single = gelu(x.astype(np.float32), approximate)
    assert (exact.dtype, single.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(single, exact, atol=1e-6)


def test_functions_that_share_their_floats_are_a_table_each() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 8, 8)))
    first = len(g.tensors)
    real = g.op("DEQUANTIZE", [x], g.value(x))
    made = [g.op(name, [real], f(g.value(x))) for name, f in (("SIN", np.sin), ("COS", np.cos))]
    g.in_float(first)
    like = g.op("QUANTIZE", [made[0]], g.value(made[0]))
    other = g.op("QUANTIZE", [made[1]], g.value(made[1]), like=like)
    y = g.concatenation([like, other], 2)
    report = fuse_model(g.finish(y)).report
    assert [f.custom_code for f in report.fused] == ["VitGelu", "VitGelu"]
    assert [leftover.name for leftover in report.leftovers] == ["CONCATENATION"]


STEPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "SIN": np.sin,
    "COS": np.cos,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND": np.rint,
    "SIGN": np.sign,
}


_BY = np.float32(0.7)
WITH_A_CONSTANT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "FLOOR_DIV": lambda x: np.floor(x / _BY),
    "FLOOR_MOD": lambda x: np.where(np.fmod(x, _BY) < 0, np.fmod(x, _BY) + _BY, np.fmod(x, _BY)),
    "POW": lambda x: np.power(x, np.float32(2.0)),
}


@pytest.mark.parametrize("name", [*STEPS, *WITH_A_CONSTANT])
def test_an_island_of_floats_is_a_table(name: str) -> None:
    """0.7 is a scale of which float32 makes whole numbers (10 * 0.7) that are none of float64."""
    function = {**STEPS, **WITH_A_CONSTANT}[name]
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 16, 16)))
    g.tensors[x] = dataclasses.replace(g.tensors[x], quantization=Quantization.per_tensor(0.7, 3))
    every = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16)
    seen = np.float32(0.7) * (every.astype(np.float32) - 3)
    real = g.op("DEQUANTIZE", [x], seen)
    operands = [real]
    if name in WITH_A_CONSTANT:
        operands.append(g.constant(np.array(2.0 if name == "POW" else float(_BY))))
        by = np.array(2.0 if name == "POW" else _BY, np.float32)
        g.tensors[operands[1]] = Tensor("by", (), by.dtype, None, by)
    computed = g.op(name, operands, function(seen))
    y = g.op("QUANTIZE", [computed], function(seen))
    for index in (real, computed):
        g.tensors[index] = dataclasses.replace(
            g.tensors[index], dtype=np.dtype(np.float32), quantization=None
        )
    fused = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    target = g.tensors[y]
    want = np.clip(np.floor(function(seen) / target.scale + 0.5) + target.zero_point, -128, 127)
    for runtime in ("reference", "host", "tflm"):
        got = open_runtime(runtime, fused).run(every)[0]
        np.testing.assert_array_equal(got, want.astype(np.int8), runtime)


def test_what_lies_before_a_jump_is_in_single_precision() -> None:
    """Of 0.1 q times 10 float32 makes other whole numbers than a product that is rounded once."""
    g = PlainGraph(np.random.default_rng(0))
    every = np.arange(-128, 128).astype(np.int8)
    x = g.input(every * 0.1)
    g.tensors[x] = dataclasses.replace(g.tensors[x], quantization=Quantization.per_tensor(0.1, 0))
    first = len(g.tensors)
    real = g.op("DEQUANTIZE", [x], g.value(x))
    steps = g.mul(real, g.constant(np.array(10.0)))
    whole = g.op("FLOOR", [steps], np.floor(g.value(steps)))
    g.in_float(first)
    y = g.op("QUANTIZE", [whole], g.value(whole))
    g.tensors[y] = dataclasses.replace(g.tensors[y], quantization=Quantization.per_tensor(1.0, 0))
    equal_everywhere(g, x, y)
