# SPDX-License-Identifier: Apache-2.0
"""x - x is stored as zeros, also where its scale is one that no kernel takes."""

from __future__ import annotations

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
