# SPDX-License-Identifier: Apache-2.0
"""What a network is tried on: numbers of an input that chooses rows of a table choose some."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converter.fuse.gate.probes import input_probe
from converter.tflite import GraphView
from tests.converter.runtimes.edges import INT8, Edges

_ROWS = 5


def _lookup(
    dtype: Any, scale: Any, casts: tuple[Any, ...], rows: int = _ROWS
) -> tuple[GraphView, int]:
    """Rows of a table by an input of that type, behind these casts."""
    g = Edges()
    x = at = g.x((1, 40), dtype, scale)
    for to in casts:
        if to == "DEQUANTIZE":
            at = g.dequantize(at)
        else:
            at = g.op("CAST", (at,), (1, 40), to, None, "CastOptions")
    table = g.tensor((rows, 4), np.int8, INT8, np.ones((rows, 4), np.int8))
    y = g.op("GATHER", (table, at), (1, 40, 4), np.int8, INT8, "GatherOptions", axis=0)
    return GraphView(g.model(y).graph), x


@pytest.mark.parametrize(
    ("dtype", "scale", "casts"),
    [
        (np.int32, None, ()),
        (np.int64, None, (np.int32,)),
        (np.uint8, None, (np.int32,)),
        (np.uint8, (1.0, 0), (np.int32,)),  # Keras' uint8 ids, converted with inputs of uint8
        (np.int8, (1.0, 0), ("DEQUANTIZE", np.int32)),
        (np.float32, None, (np.int32,)),  # Keras' inputs are float by default
    ],
)
def test_numbers_of_rows(dtype: Any, scale: Any, casts: tuple[Any, ...]) -> None:
    """Others lie outside the table, so that the network could not be compared at all."""
    view, x = _lookup(dtype, scale, casts)
    value = input_probe(view, x, np.random.default_rng(0))
    assert set(np.unique(value)) == set(range(_ROWS))


@pytest.mark.parametrize(
    ("dtype", "scale", "largest"),
    [(np.int8, (1.0, 0), 127), (np.int8, (1.0, -128), 255), (np.uint8, None, 255)],
)
def test_a_table_has_more_rows_than_the_type_has_numbers(
    dtype: Any, scale: Any, largest: int
) -> None:
    """No device can be given the others."""
    view, x = _lookup(dtype, scale, (np.int32,), rows=5000)
    value = input_probe(view, x, np.random.default_rng(0))
    assert largest / 2 < value.max() <= largest
    assert value.min() >= 0


def test_an_image_whose_class_chooses_a_row_stays_an_image() -> None:
    g = Edges()
    x = g.x((1, 40), np.int8, (1.0, 0))
    other = g.op("RELU", (x,), (1, 40), np.int8, INT8)
    axis = g.tensor((1,), np.int32, None, np.array([1], np.int32))
    at = g.op("ARG_MAX", (other, axis), (1,), np.int32, None, "ArgMaxOptions", outputType=2)
    table = g.tensor((_ROWS, 4), np.int8, INT8, np.ones((_ROWS, 4), np.int8))
    y = g.op("GATHER", (table, at), (1, 4), np.int8, INT8, "GatherOptions", axis=0)
    value = input_probe(GraphView(g.model(y).graph), x, np.random.default_rng(0))
    assert value.min() < 0
    assert value.max() > _ROWS
