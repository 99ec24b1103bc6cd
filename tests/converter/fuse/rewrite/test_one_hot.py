# SPDX-License-Identifier: Apache-2.0
"""ONE_HOT as GATHER: every number, those outside of the table too, as LiteRT's ONE_HOT."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse.rewrite import normalize
from converter.runtimes import open_runtime
from converter.runtimes.reference import litert_interpreter
from converter.tflite import Model, serialize
from tests.converter.fuse.rewrite.checks import opcodes, rule
from tests.converter.runtimes.edges import Edges


@pytest.mark.parametrize("wide", [False, True])
def test_rows_are_gathered(wide: bool) -> None:
    g = Edges()
    x = g.x((1, 6), np.int32)
    ids = g.op("CAST", (x,), (1, 6), np.int64, None, "CastOptions") if wide else x
    unit = (1 / 255, -128)
    depth = g.tensor((), np.int32, None, np.array(4, np.int32))
    on, off = (g.tensor((), np.int8, unit, np.array(v, np.int8)) for v in (127, -128))
    y = g.op("ONE_HOT", (ids, depth, on, off), (1, 6, 4), np.int8, unit, "OneHotOptions", axis=-1)
    plain = g.model(y).graph
    graph = normalize(plain, [rule("one_hot"), rule("unread")]).graph
    assert opcodes(graph) == ["MAXIMUM", "MINIMUM", "ADD", "GATHER"]
    value = np.array([[0, 3, -1, 4, 2, 70000]], np.int32)
    interpreter = litert_interpreter(serialize(Model(plain)))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    want = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    got = open_runtime("tflm", serialize(Model(graph))).run(value)[0]
    np.testing.assert_array_equal(got, want)
