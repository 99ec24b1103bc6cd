# SPDX-License-Identifier: Apache-2.0
"""Filters that MATRIX_DIAG makes (Keras' extract_patches of large patches) are constants."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import TfliteError, parse
from tests.converter.runtimes.edges import INT8, Edges


@dataclasses.dataclass(frozen=True)
class Patches:
    """As TensorFlow writes them: [patch, patch, depth, outputs], then a TRANSPOSE."""

    patch: int = 2
    depth: int = 3
    size: int = 4
    diagonal: tuple[float, int] = (1 / 255, -128)
    values: int | None = 127
    bias: int = 0
    order: tuple[int, ...] = (3, 0, 1, 2)
    read_too: bool = False

    @property
    def outputs(self) -> int:
        return self.patch**2 * self.depth


def content(p: Patches) -> bytes:
    g = Edges()
    n = p.outputs
    x = g.x((1, p.size, p.size, p.depth), np.int8, INT8)
    data = np.full(n, 127, np.int8) if p.values == 127 else np.arange(n).astype(np.int8)
    diagonal = g.tensor((n,), np.int8, p.diagonal, data)
    matrix = g.op("MATRIX_DIAG", (diagonal,), (n, n), np.int8, p.diagonal)
    first = (p.patch, p.patch, p.depth, n)
    shape = g.tensor((4,), np.int32, None, np.array(first, np.int32))
    filters = g.op("RESHAPE", (matrix, shape), first, np.int8, p.diagonal, "ReshapeOptions")
    order = g.tensor((4,), np.int32, None, np.array(p.order, np.int32))
    turned = tuple(first[i] for i in p.order)
    filters = g.op("TRANSPOSE", (filters, order), turned, np.int8, p.diagonal, "TransposeOptions")
    unit = (INT8[0] * p.diagonal[0], 0)
    bias = g.tensor((n,), np.int32, unit, np.full(n, p.bias, np.int32))
    down = p.size // p.patch
    fields = {"padding": 1, "strideH": p.patch, "strideW": p.patch}
    fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
    y = g.op("CONV_2D", (x, filters, bias), (1, down, down, n), np.int8, INT8,
             "Conv2DOptions", **fields)  # fmt: skip
    return g.content(y, *((filters,) if p.read_too else ()))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(patch=st.integers(1, 3), depth=st.integers(1, 3), down=st.integers(1, 3),
       symmetric=st.booleans(), seed=st.integers(0, 99))  # fmt: skip
def test_pixels_stand_where_patches_have_them(
    patch: int, depth: int, down: int, symmetric: bool, seed: int
) -> None:
    diagonal = (1 / 127, 0) if symmetric else (1 / 255, -128)
    p = Patches(patch, depth, patch * down, diagonal)
    assert [op.name for op in parse(content(p)).graph.operators] == ["CONV_2D"]
    shape = (1, p.size, p.size, depth)
    x = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    want = x.reshape(down, patch, down, patch, depth).swapaxes(1, 2).reshape(1, down, down, -1)
    np.testing.assert_array_equal(open_runtime("reference", content(p)).run(x)[0], want)


def test_every_runtime() -> None:
    x = np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 3)).astype(np.int8)
    planned = plan_model(content(Patches())).model_bytes
    runs = [open_runtime(n, planned).run(x)[0] for n in ("reference", "host", "tflm")]
    for got in runs[1:]:
        np.testing.assert_array_equal(got, runs[0])


@pytest.mark.parametrize(
    "p",
    [
        Patches(values=None),
        Patches(bias=5),
        Patches(diagonal=(1 / 255, 127)),
        Patches(read_too=True),
    ],
)
def test_other_matrices_are_refused(p: Patches) -> None:
    with pytest.raises(TfliteError, match="MATRIX_DIAG"):
        parse(content(p))
