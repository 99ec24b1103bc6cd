# SPDX-License-Identifier: Apache-2.0
"""How far the scales of an operator's tensors may be apart.

Kernels bring a result to its output's scale by a factor, a multiplier with a shift. A factor above
1 shifts left first, in 32 bits, and what becomes of a result that leaves them differs from kernel
to kernel. So the largest one that can come is shifted here. Rules as in `quantization_rules`.
"""

from __future__ import annotations

import math

from converter.tflite.model import Tensor
from converter.tflite.quantization_rules import Operands

_INT32_MAX = (1 << 31) - 1
_STEPS = {"int8": 255, "uint8": 255, "int16": 65535}  # |value - zero point| at most


def _steps(tensor: Tensor | None) -> int | None:
    return None if tensor is None else _STEPS.get(tensor.dtype.name)


def _error(o: Operands, factor: float, largest: int) -> str | None:
    """What is wrong with a factor of values up to ``largest``, in steps; None if nothing is."""
    if math.isfinite(factor) and largest << max(0, math.frexp(factor)[1]) <= _INT32_MAX:
        return None
    return (
        f"tensor {o.outputs[0].name!r}: got a scale too small for results of its operands, whose "
        f"steps are {factor:.3g} times as large: calibration saw next to nothing but zeros there; "
        "calibrate with inputs that reach it"
    )


def one(o: Operands) -> str | None:
    """An operand times its scale over the output's; LEAKY_RELU has a slope as well."""
    x, y, steps = o.scale(o.inputs[0]), o.scale(o.outputs[0]), _steps(o.inputs[0])
    if x is None or y is None or steps is None:
        return None
    slope = max(1.0, abs(float(getattr(o.options, "alpha", 1.0))))
    return _error(o, slope * x / y, steps)


def product(o: Operands) -> str | None:
    """Two operands multiplied: 255 times 255 steps, or 32768 times 32768."""
    a, b, y = (o.scale(t) for t in (*o.inputs[:2], o.outputs[0]))
    steps = _steps(o.inputs[0])
    if a is None or b is None or y is None or steps is None:
        return None
    # int16 has no zero points: 2**15 times 2**15, once at most.
    largest = steps * steps if steps == 255 else 1 << 30
    return _error(o, a * b / y, largest)


def quotient(o: Operands) -> str | None:
    """DIV: a step of the first over one of the second is the largest result."""
    a, b, y = (o.scale(t) for t in (*o.inputs[:2], o.outputs[0]))
    steps = _steps(o.inputs[0])
    if a is None or b is None or y is None or steps is None:
        return None
    return _error(o, a / b / y, steps + 1)


def sloped(o: Operands) -> str | None:
    """PRELU multiplies negative values, and brings the others to the output's scale."""
    return one(o) or product(o)


def matrix(o: Operands) -> str | None:
    """BATCH_MATMUL adds as many products as the last dimension of its first operand, turned or
    not, has elements; sums of int16 are 64 bits."""
    a, b, y = (o.scale(t) for t in (*o.inputs[:2], o.outputs[0]))
    x = o.inputs[0]
    if a is None or b is None or y is None or x is None or _steps(x) != 255 or len(x.shape) < 2:
        return None
    depth = x.shape[-2] if getattr(o.options, "adjX", False) else x.shape[-1]
    return _error(o, a * b / y, min(255 * 255 * max(1, depth), _INT32_MAX))


def _count(o: Operands) -> int | None:
    """Values that become one; None where nothing does."""
    x, y = o.inputs[0], o.outputs[0]
    return None if x is None or not x.size or not y.size else max(1, x.size // y.size)


def total(o: Operands) -> str | None:
    """SUM adds values of bytes, or of int16 without zero points."""
    x, y, count = o.scale(o.inputs[0]), o.scale(o.outputs[0]), _count(o)
    steps = _steps(o.inputs[0])
    if x is None or y is None or count is None or steps is None:
        return None
    return _error(o, x / y, min((255 if steps == 255 else 1 << 15) * count, _INT32_MAX))


def average(o: Operands) -> str | None:
    """MEAN divides them as well."""
    x, y, count = o.scale(o.inputs[0]), o.scale(o.outputs[0]), _count(o)
    if x is None or y is None or count is None or _steps(o.inputs[0]) != 255:
        return None
    return _error(o, x / y, 255)
