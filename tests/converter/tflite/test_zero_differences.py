# SPDX-License-Identifier: Apache-2.0
"""x - x is stored as zeros, also in a scale that no kernel takes; so is x - max(x) over one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converter.runtimes import open_runtime
from converter.tflite import TfliteError, parse
from tests.converter.runtimes.edges import INT8, Edges

NOTHING = (7.8e-9, 0)  # what calibration gives a tensor of zeros


def guarded(result_too: bool = False, other: bool = False) -> bytes:
    """y = x + x where x - x == 0, else x: the guard of a logsumexp against infinity."""
    g = Edges()
    x = g.x((1, 4), np.int8, INT8)
    less = g.x((1, 4), np.int8, INT8) if other else x
    zero = g.op("SUB", (x, less), (1, 4), np.int8, NOTHING, "SubOptions")
    none = g.tensor((), np.int8, NOTHING, np.array(0, np.int8))
    finite = g.op("EQUAL", (zero, none), (1, 4), np.bool_, None, "EqualOptions")
    total = g.op("ADD", (x, x), (1, 4), np.int8, INT8, "AddOptions")
    y = g.op("SELECT_V2", (finite, total, x), (1, 4), np.int8, INT8, "SelectV2Options")
    return g.content(y, *((zero,) if result_too else ()))


def test_zeros_are_stored_and_the_rest_runs() -> None:
    graph = parse(guarded()).graph
    assert [op.name for op in graph.operators] == ["EQUAL", "ADD", "SELECT_V2"]
    x = np.arange(-60, 60, 30, dtype=np.int8).reshape(1, 4)
    want = np.clip(2 * (x.astype(int) + 3) - 3, -128, 127)
    for name in ("reference", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, guarded()).run(x)[0], want, name)


@pytest.mark.parametrize("which", [{"result_too": True}, {"other": True}])
def test_a_difference_that_no_kernel_computes_is_refused(which: dict[str, bool]) -> None:
    with pytest.raises(TfliteError, match=r"operator 0 \(SUB\): .*too small for sums"):
        parse(guarded(**which))


def taken_from_itself(
    reduced: int = 1, limit: int = -128, between: tuple[float, int] = INT8, square: bool = False
) -> bytes:
    """y = x + (x - max(x)), the maximum in float and not below a limit, as exporters write it."""
    g = Edges()
    shape = (1, 4, reduced)
    x = g.x(shape, np.int8, INT8)
    real = g.dequantize(x)
    axis = g.tensor((1,), np.int32, None, np.array([2], np.int32))
    most = g.op("REDUCE_MAX", (real, axis), (1, 4), np.float32, None, "ReducerOptions")
    most = g.quantize(most, np.int8, between)
    low = g.tensor((), np.int8, between, np.array(limit, np.int8))
    most = g.op("MAXIMUM", (most, low), (1, 4), np.int8, between, "MaximumMinimumOptions")
    new = g.tensor((3,), np.int32, None, np.array([1, 4, 1], np.int32))
    most = g.op("RESHAPE", (most, new), (1, 4, 1), np.int8, between, "ReshapeOptions")
    kind = ("SQUARED_DIFFERENCE", "SquaredDifferenceOptions") if square else ("SUB", "SubOptions")
    zero = g.op(kind[0], (x, most), shape, np.int8, NOTHING, kind[1])
    return g.content(g.op("ADD", (x, zero), shape, np.int8, INT8, "AddOptions"))


@pytest.mark.parametrize("square", [False, True])
def test_the_maximum_of_one_element_is_that_element(square: bool) -> None:
    content = taken_from_itself(square=square)
    graph = parse(content).graph
    (total,) = (op for op in graph.operators if op.name == "ADD")
    zero = graph.tensors[total.inputs[1]]
    assert zero.data is not None
    assert np.all(zero.data == zero.zero_point)
    x = np.arange(-60, 60, 30, dtype=np.int8).reshape(1, 4, 1)
    np.testing.assert_array_equal(open_runtime("reference", content).run(x)[0], x)


@pytest.mark.parametrize(
    "other", [{"reduced": 2}, {"limit": -127}, {"between": (0.06, -3)}, {"between": (0.05, -4)}]
)
def test_what_may_differ_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(TfliteError, match=r"\(SUB\): .*too small for sums"):
        parse(taken_from_itself(**other))
