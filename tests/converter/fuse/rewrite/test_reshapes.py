# SPDX-License-Identifier: Apache-2.0
"""A mask's dimensions are put there by RESHAPE: TFLM has EXPAND_DIMS of three types only."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse.rewrite import normalize
from converter.runtimes import open_runtime
from converter.tflite import Model, serialize
from tests.converter.fuse.rewrite.checks import opcodes, rule
from tests.converter.runtimes.edges import INT8, Edges


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.int8])
def test_expand_dims_of_a_mask_runs_in_tflm(dtype: type) -> None:
    g = Edges()
    scale = INT8 if dtype == np.int8 else None
    x = g.x((2, 3), dtype, scale)
    axis = g.tensor((), np.int32, None, np.array(1, np.int32))
    y = g.op("EXPAND_DIMS", (x, axis), (2, 1, 3), dtype, scale, "ExpandDimsOptions")
    graph = normalize(g.model(y).graph, [rule("reshapes")]).graph
    assert opcodes(graph) == ["EXPAND_DIMS" if dtype == np.int8 else "RESHAPE"]
    value = np.array([[0, 1, 0], [1, 1, 0]], dtype)
    got = open_runtime("tflm", serialize(Model(graph))).run(value)[0]
    np.testing.assert_array_equal(got, value.reshape(2, 1, 3))
