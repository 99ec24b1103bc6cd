# SPDX-License-Identifier: Apache-2.0
"""What Keras' Masking makes (x != 0.0 in float, any over features) in every runtime's operators."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Tensor
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import opcodes, rewritten

_FEATURES = 4
Compare = np.ufunc


def _floats(g: PlainGraph, x: int) -> int:
    first = len(g.tensors)
    real = g.op("DEQUANTIZE", [x], g.value(x))
    g.in_float(first)
    return real


def _constant(g: PlainGraph, value: float) -> int:
    index = g.constant(np.array(value))
    data = np.array(value, np.float32)
    g.tensors[index] = Tensor("limit", data.shape, data.dtype, None, data)
    return index


def _truths(g: PlainGraph, opcode: str, inputs: list[int], value: np.ndarray, kind: str,
            **fields: object) -> int:  # fmt: skip
    index = g.op(opcode, inputs, value.astype(float), **options(kind, **fields))
    g.tensors[index] = dataclasses.replace(
        g.tensors[index], dtype=np.dtype(np.bool_), quantization=None
    )
    return index


def masked(opcode: str, kind: str, compare: Compare, swapped: bool, on_grid: bool,
           std: float = 1.0, every: bool = False) -> tuple[PlainGraph, int, int]:  # fmt: skip
    """x where any feature (or every one) compares so with a limit, else its least value."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, std, (1, 16, _FEATURES)) * g.rng.integers(0, 2, (1, 16, 1)))
    t = g.tensors[x]
    limit = float(np.float32(t.scale) * np.float32(5 - t.zero_point)) + (0 if on_grid else 1e-3)
    real, bound = _floats(g, x), _constant(g, limit)
    pair = [bound, real] if swapped else [real, bound]
    found = compare(*((limit, g.value(x)) if swapped else (g.value(x), limit)))
    each = _truths(g, opcode, pair, found, kind)
    reduced = (np.all if every else np.any)(found, axis=2, keepdims=True)
    some = _truths(g, "REDUCE_ALL" if every else "REDUCE_ANY", [each, g.indices(2)], reduced,
                   "ReducerOptions", keepDims=True)  # fmt: skip
    least = g.constant(np.array(0.0))
    g.tensors[least] = dataclasses.replace(
        g.tensors[least], quantization=t.quantization, data=np.array(-128, np.int8)
    )
    value = np.where(reduced, g.value(x), 0.0)
    return g, x, g.op("SELECT_V2", [some, x, least], value, like=x, **options("SelectV2Options"))


_CASES = [
    ("NOT_EQUAL", "NotEqualOptions", np.not_equal, False),
    ("EQUAL", "EqualOptions", np.equal, True),
    ("LESS", "LessOptions", np.less, True),
    ("GREATER_EQUAL", "GreaterEqualOptions", np.greater_equal, False),
]


@pytest.mark.parametrize(("opcode", "kind", "compare", "swapped"), _CASES)
@pytest.mark.parametrize("every_feature", [False, True])
def test_it_chooses_the_same(
    opcode: str, kind: str, compare: Compare, swapped: bool, every_feature: bool
) -> None:
    g, x, y = masked(opcode, kind, compare, swapped, on_grid=True, every=every_feature)
    assert opcodes(rewritten(g, y, by="compared_floats").graph)[1] == opcode
    fused = fuse_model(g.finish(y))
    names = {leftover.name for leftover in fused.report.leftovers}
    reduction = "REDUCE_MIN" if every_feature else "REDUCE_MAX"
    assert names == {opcode, "SELECT_V2", reduction, "NOT_EQUAL"}
    planned = plan_model(fused.model_bytes).model_bytes
    every = g.quantized(x)
    limit = 5
    bound = np.int8(limit)
    mask = compare(bound, every) if swapped else compare(every, bound)
    reduced = (np.all if every_feature else np.any)(mask, axis=2, keepdims=True)
    want = np.where(reduced, every, np.int8(-128))
    for name in ("reference", "host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, planned).run(every)[0], want, name)


def test_a_limit_between_two_integers_stays_in_float() -> None:
    g, _, y = masked("LESS", "LessOptions", np.less, False, on_grid=False)
    graph = rewritten(g, y, by="compared_floats").graph
    assert graph.tensors[graph.operators[1].inputs[0]].dtype == np.float32


@pytest.mark.parametrize(("std", "is_integer"), [(0.5, True), (0.05, False), (1e-12, False)])
def test_steps_that_the_kernels_do_not_tell_apart_stay_in_float(
    std: float, is_integer: bool
) -> None:
    """They compare in 256ths: of steps of 0.0008 several are equal there."""
    g, x, y = masked("NOT_EQUAL", "NotEqualOptions", np.not_equal, False, on_grid=True, std=std)
    assert (g.tensors[x].scale > 1 / 256) == is_integer
    graph = rewritten(g, y, by="compared_floats").graph
    (compared,) = [op for op in graph.operators if op.opcode == "NOT_EQUAL"]
    assert (graph.tensors[compared.inputs[0]].dtype == np.int8) == is_integer
