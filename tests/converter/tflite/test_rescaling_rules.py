# SPDX-License-Identifier: Apache-2.0
"""Scales so far apart that a kernel's shift leaves 32 bits are refused, and nothing nearer is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from converter.tflite.model import Quantization, Tensor
from converter.tflite.operator_table import TABLE
from converter.tflite.quantization_rules import Operands

X_SHAPE, DEPTH = (2, 64), 64


def tensor(scale: float, dtype: str = "int8", shape: tuple[int, ...] = X_SHAPE) -> Tensor:
    return Tensor("t", shape, np.dtype(dtype), Quantization.per_tensor(scale, 0))


def refused(name: str, factor: float, dtype: str = "int8", **options: Any) -> bool:
    """Of an operator whose results are multiplied by a factor."""
    operands = 2 if name in ("MUL", "DIV", "PRELU", "BATCH_MATMUL") else 1
    shape = (2, 1) if name in ("SUM", "MEAN") else X_SHAPE
    xs = (tensor(1.0, dtype),) * operands
    row = TABLE[name]
    o = Operands(xs, (tensor(1.0 / factor, dtype, shape),), SimpleNamespace(**options))
    said = [text for rule in row.rules if (text := rule(o)) is not None]
    assert all("scale too small for results of its operands" in text for text in said)
    return bool(said)


@pytest.mark.parametrize(
    ("name", "dtype", "largest"),
    [
        *((n, "int8", 255) for n in ("ABS", "RELU", "RELU6", "LEAKY_RELU", "QUANTIZE", "MEAN")),
        ("RELU", "int16", 65535),
        ("MUL", "int8", 255 * 255),
        ("MUL", "uint8", 255 * 255),
        ("PRELU", "int8", 255 * 255),
        ("BATCH_MATMUL", "int8", 255 * 255 * DEPTH),
        ("SUM", "int8", 255 * DEPTH),
    ],
)
def test_the_largest_result_just_fits(name: str, dtype: str, largest: int) -> None:
    """A factor in [2**(s-1), 2**s) is a shift by s."""
    shift = 0
    while largest << (shift + 1) < 1 << 31:
        shift += 1
    fits = 0.75 * 2.0**shift
    assert not refused(name, fits, dtype)
    assert refused(name, 2 * fits, dtype)
    assert not refused(name, 1e-30, dtype)


def test_a_quotient_just_fits() -> None:
    """A step over a step; 255 of them shifted by 22 bits fit in 32, by 23 TFLite's kernels do
    not."""
    assert not refused("DIV", 0.75 * 2.0**22)
    assert refused("DIV", 1.5 * 2.0**22)


def test_a_sum_of_16_bits_just_fits() -> None:
    assert not refused("SUM", 500.0, "int16")
    assert refused("SUM", 520.0, "int16")


def test_products_of_16_bits_are_not_shifted_up() -> None:
    assert not refused("MUL", 0.9, "int16")
    assert refused("MUL", 1.5, "int16")


def test_a_slope_counts() -> None:
    assert not refused("LEAKY_RELU", 2.0**20, alpha=0.1)
    assert refused("LEAKY_RELU", 2.0**20, alpha=-16.0)


def test_a_turned_first_operand_has_another_depth() -> None:
    """[2, 64]: the sums are over 2 rows."""
    factor = 0.75 * 2.0**12
    assert refused("BATCH_MATMUL", factor)
    assert not refused("BATCH_MATMUL", factor, adjX=True)
