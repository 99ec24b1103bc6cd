# SPDX-License-Identifier: Apache-2.0
"""The table says what the runtimes have: asked of the runtimes themselves.

The page is written by

    python -c "from converter.support.page import page; print(page(), end='')" \\
        > docs/supported_operators.md
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converter import builtins
from converter.runtimes import open_runtime
from converter.runtimes.interface import RuntimeUnavailableError
from converter.runtimes.tflm.stderr_capture import StderrCapture
from converter.support.page import page
from converter.support.table import BUILTINS, TABLE
from converter.tflite import Graph, Model, Operator, Quantization, Tensor, serialize
from converter.tflite.schema import OPCODES
from tests.converter.fuse.plain_graph import options
from tests.converter.support.models import moved

_ABSENT = "LSH_PROJECTION"  # that TFLM has not; it stops the set-up before a kernel sees the model
_NOT_OPERATORS = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES", _ABSENT}
_ADDED = {"GELU"}  # by converter.runtimes.tflm.plain_gelu


def is_registered(name: str) -> bool:
    """Whether the wheel finds the operator: it names the first one that it does not find."""
    from tflite_micro.python.tflite_micro import runtime

    q = Quantization.per_tensor(0.1, 0)
    tensors = tuple(Tensor(f"t{i}", (1, 4), np.dtype(np.int8), q) for i in range(3))
    operators = (Operator(name, (0,), (1,)), Operator(_ABSENT, (1,), (2,)))
    content = serialize(Model(Graph(tensors, operators, (0,), (2,))))
    capture = StderrCapture()
    with capture, pytest.raises((RuntimeError, AttributeError)) as failure:
        runtime.Interpreter.from_bytes(content, arena_size=1 << 16)
    if isinstance(failure.value, AttributeError):  # its own code looks into the options: it knows
        return True
    (first, *_) = re.findall(r"builtin opcode '(\w+)'", capture.text + str(failure.value))
    return bool(first != name)


def test_wheel_column_is_what_the_wheel_has() -> None:
    names = set(OPCODES) - _NOT_OPERATORS
    registered = {name for name in sorted(names) if is_registered(name)}
    assert registered == {n for n, entry in TABLE.items() if entry.wheel} - _ADDED


def test_compiled_column_is_what_the_compiler_has() -> None:
    assert {n for n, entry in TABLE.items() if entry.compiled} == set(builtins.SUPPORTED)


def test_a_device_has_nothing_that_the_wheel_lacks() -> None:
    assert all(entry.wheel for entry in BUILTINS if entry.method)
    assert len({entry.name for entry in BUILTINS}) == len(BUILTINS)


@pytest.mark.parametrize("name", ["TRANSPOSE", "SLICE", "STRIDED_SLICE"])
def test_rank_limits_of_the_wheel(name: str) -> None:
    form = TABLE[name].wheel
    assert form is not None
    content, x = moved(name, form.rank)
    (got,) = open_runtime("tflm", content).run(x)
    (expected,) = open_runtime("reference", content).run(x)
    np.testing.assert_array_equal(got, expected)
    content, x = moved(name, form.rank + 1)
    with pytest.raises(RuntimeUnavailableError, match=f"{name} of {form.rank + 1} dimensions"):
        open_runtime("tflm", content)
    # Without the table the wheel refuses it, or aborts the process.
    script = (
        "import sys, numpy; from tflite_micro.python.tflite_micro import runtime; "
        "i = runtime.Interpreter.from_bytes(sys.stdin.buffer.read(), arena_size=1 << 20); "
        f"i.set_input(numpy.zeros({x.shape}, numpy.int8), 0); i.invoke()"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    assert done.returncode != 0


def test_page_is_generated() -> None:
    path = Path(__file__).parents[3] / "docs" / "supported_operators.md"
    assert path.read_text() == page(), (
        "python -m converter.support.page > docs/supported_operators.md"
    )


@pytest.mark.parametrize("name", ["LOG", "SQRT", "CAST"])
def test_types_that_the_wheel_lacks(name: str) -> None:
    """It finds the operator and fails when it runs: the table says so before."""
    bytes_in = name == "CAST"
    q = Quantization.per_tensor(0.1, -128)
    x = Tensor("x", (1, 4), np.dtype(np.uint8 if bytes_in else np.int8), None if bytes_in else q)
    y = Tensor("y", (1, 4), np.dtype(np.int32) if bytes_in else x.dtype, x.quantization)
    content = serialize(Model(Graph((x, y), (Operator(name, (0,), (1,)),), (0,), (1,))))
    with pytest.raises(RuntimeUnavailableError, match=name):
        open_runtime("tflm", content)
    from tflite_micro.python.tflite_micro import runtime

    def run() -> None:
        wheel = runtime.Interpreter.from_bytes(content, arena_size=1 << 14)
        wheel.set_input(np.ones((1, 4), x.dtype), 0)
        wheel.invoke()

    with StderrCapture(), pytest.raises(RuntimeError):
        run()


@pytest.mark.parametrize("name", ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"])
def test_reductions_of_the_wheel(name: str) -> None:
    """Of the table's types they run; of int32 (tokens that are counted) they fail in Invoke."""
    form = TABLE[name].wheel
    assert form is not None
    for dtype in (*form.types, "int32"):
        quantization = None if dtype in ("float32", "int32") else Quantization.per_tensor(0.1, 0)
        x = Tensor("x", (1, 4), np.dtype(dtype), quantization)
        y = dataclasses.replace(x, name="y", shape=(1,))
        axes = Tensor("axes", (1,), np.dtype(np.int32), None, np.array([1], np.int32))
        op = Operator(name, (0, 1), (2,), **options("ReducerOptions", keepDims=False))
        content = serialize(Model(Graph((x, axes, y), (op,), (0,), (2,))))
        if dtype == "int32":
            with pytest.raises(RuntimeUnavailableError, match=f"{name} of int32"):
                open_runtime("tflm", content)
        else:
            (got,) = open_runtime("tflm", content).run(np.array([[1, 2, 3, 6]], dtype))
            want = {"MEAN": 3, "SUM": 12, "REDUCE_MAX": 6, "REDUCE_MIN": 1}[name]
            np.testing.assert_array_equal(got, [want])
