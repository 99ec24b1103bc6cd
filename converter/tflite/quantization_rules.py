# SPDX-License-Identifier: Apache-2.0
"""What TFLite's kernels demand of the scales and zero points of an operator's tensors.

A rule looks at an operator's tensors and says what is wrong, or None. Sources: the Prepare
functions of tensorflow/lite/kernels and of TFLM, and the TFLite 8-bit quantization specification.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from converter.tflite.model import Quantization, Tensor
from converter.tflite.schema import DTYPES

_LARGEST = float(np.finfo(np.float32).max)
_LARGEST_SUM = 1 << 31
SOFTMAX_BITS = 26  # behind the point, in which SOFTMAX's kernels count its input
_QUANTIZED = ("int8", "uint8", "int16")


@dataclasses.dataclass(frozen=True, eq=False)
class Operands:
    """What a rule sees.

    Attributes:
      inputs: None for an absent optional one.
      options: the schema's options object, or None.
    """

    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Any

    @functools.cached_property
    def quantized(self) -> tuple[Tensor, ...]:
        """Operands of the small integer types."""
        present = [t for t in (*self.inputs, *self.outputs) if t is not None]
        return tuple(t for t in present if t.dtype.name in _QUANTIZED)

    def scale(self, tensor: Tensor | None) -> float | None:
        """The one scale of a tensor, or None."""
        q = None if tensor is None else tensor.quantization
        return float(q.scale[0]) if q is not None and len(q.scale) == 1 else None


Rule = Callable[[Operands], str | None]


def present(o: Operands) -> str | None:
    """Arithmetic on integers of 8 or 16 bits needs their scales."""
    for t in o.quantized:
        if t.quantization is None:
            return f"tensor {t.name!r}: got {t.dtype} without a scale, expected a quantized tensor"
    return None


def scaled(o: Operands) -> str | None:
    """The same, and 16 bits are symmetric."""
    for t in o.quantized:
        if t.quantization is not None and t.dtype == np.int16 and np.any(t.quantization.zero_point):
            zero = int(t.quantization.zero_point[0])
            return f"tensor {t.name!r}: got zero point {zero} of int16, expected 0"
    return present(o)


def differs(a: Quantization | None, b: Quantization | None) -> bool:
    """Whether scales or zero points are not the same."""
    if a is None or b is None:
        return a is not b
    same = np.array_equal(a.scale, b.scale) and np.array_equal(a.zero_point, b.zero_point)
    return not same


def same(o: Operands) -> str | None:
    """What moves or selects values copies them: all have one scale and zero point."""
    for t in o.quantized[1:]:
        first = o.quantized[0]
        if differs(first.quantization, t.quantization):
            return (
                f"tensors {first.name!r} and {t.name!r}: got different scales or zero points, "
                "expected the same, for the values are copied"
            )
    return None


def filled(o: Operands) -> str | None:
    """FILL copies its second operand."""
    return same(Operands(o.inputs[1:], o.outputs, None))


def fixed(**expected: tuple[float, int]) -> Rule:
    """The output's scale and zero point, by the letters (b, u, s) of input and output types."""
    letters = {"int8": "b", "uint8": "u", "int16": "s"}

    def rule(o: Operands) -> str | None:
        x, y = o.inputs[0], o.outputs[0]
        types = "" if x is None else letters.get(x.dtype.name, "") + letters.get(y.dtype.name, "")
        want = expected.get(types)
        if want is None or y.quantization is None:
            return None
        scale, zero = o.scale(y), int(y.quantization.zero_point[0])
        if scale is None or abs(scale - want[0]) > 1e-3 * want[0] or zero != want[1]:
            return (
                f"tensor {y.name!r}: got scale {scale} and zero point {zero}, expected "
                f"{want[0]} and {want[1]}, as every runtime does; give it that type, or leave the "
                "operator in float"
            )
        return None

    return rule


def bias(o: Operands) -> str | None:
    """A layer's bias has the scale of input times weights, within 2 % of the output's."""
    if len(o.inputs) < 3 or o.inputs[2] is None:
        return None
    x, w, y = o.inputs[0], o.inputs[1], o.outputs[0]
    if x is None or w is None or x.quantization is None or w.quantization is None:
        return None
    none = Quantization(np.zeros(1, np.float32), np.zeros(1, np.int64))
    b, out = o.inputs[2].quantization or none, o.scale(y)
    product = float(x.quantization.scale[0]) * w.quantization.scale.astype(np.float64)
    if len(b.scale) not in (1, len(product)) or np.any(b.zero_point):
        return (
            f"bias {o.inputs[2].name!r}: got {len(b.scale)} scales, expected {len(product)} with "
            "zero points of 0"
        )
    if out is None or np.any(np.abs(b.scale - product) > 0.02 * out):
        return f"bias {o.inputs[2].name!r}: got a scale that is not that of input times weights"
    return None


def bias_type(o: Operands) -> str | None:
    """Newer layers say the type of their bias; nothing said is FLOAT32's code."""
    said = DTYPES.get(getattr(o.options, "quantizedBiasType", 0) or -1)
    b = o.inputs[2] if len(o.inputs) > 2 else None
    if said is None or b is None or b.dtype == said:
        return None
    return f"bias {b.name!r}: got {b.dtype}, the options say {said}"


def no_activation(o: Operands) -> str | None:
    """CONCATENATION has a field for a fused activation, which no kernel computes."""
    return "got a fused activation, expected none" if o.options.fusedActivationFunction else None


def symmetric(o: Operands) -> str | None:
    """Weights of convolutions have zero points of 0 (int8; uint8 is of the older kernels)."""
    w = o.inputs[1]
    if w is None or w.quantization is None or w.dtype.name != "int8":
        return None
    if np.any(w.quantization.zero_point):
        return f"weights {w.name!r}: got zero points that are not 0"
    return None


def product_fits(o: Operands) -> str | None:
    """A layer's sums are scaled by less than 256 (XNNPACK, which LiteRT takes by itself)."""
    x, w = o.inputs[:2]
    y = o.outputs[0]
    scales = [None if t is None else t.quantization for t in (x, w, y)]
    if y.dtype.name not in ("int8", "uint8") or None in scales:
        return None
    a, b, c = (q.scale.astype(np.float64).max() for q in scales if q is not None)
    if a * b / c < 256:
        return None
    return (
        f"tensor {y.name!r}: got a scale too small for products of its operands ({a * b / c:.3g} "
        "times its own, LiteRT takes less than 256): calibration saw next to nothing but zeros "
        "there; calibrate with inputs that reach it, or leave the dead layer out"
    )


def sums_fit(o: Operands) -> str | None:
    """A layer's sums of bytes are int32, and TFLM lets them overflow: bias, products, all at worst.

    The weights are summed only where their number and the bias do not rule it out.
    """
    b = o.inputs[2] if len(o.inputs) > 2 else None
    x, w = o.inputs[:2]
    if x is None or w is None or w.data is None or w.dtype.itemsize != 1 or x.dtype.itemsize != 1:
        return None
    if w.quantization is None or x.quantization is None or not w.size:
        return None
    if b is None:
        bias = np.zeros(1, np.int64)
    elif b.data is None or not b.size:
        return None
    else:
        bias = np.abs(b.data.astype(np.int64)).reshape(-1)
    channels = w.shape[0] if b is None else b.size
    if int(bias.max()) + w.size // channels * 255 * 255 < _LARGEST_SUM:
        return None
    first = w.shape[0] == channels
    rows = w.data.reshape(channels, -1) if first else w.data.reshape(-1, channels).T
    offset = w.quantization.zero_point[:, None]
    away = np.abs(rows.astype(np.int64) - offset).sum(1)
    zero, limits = int(x.quantization.zero_point[0]), np.iinfo(x.dtype)
    reach = max(int(limits.max) - zero, zero - int(limits.min))
    if int((bias + reach * away).max()) < _LARGEST_SUM:
        return None
    return f"tensor {o.outputs[0].name!r}: got weights and a bias whose sums exceed 32 bits"


def transposed_fits(o: Operands) -> str | None:
    """TRANSPOSE_CONV has its shape before its operands."""
    layer = Operands(o.inputs[1:], o.outputs, o.options)
    return product_fits(layer) or sums_fit(layer)


def _below_one(o: Operands, scale: float, divisor: float, what: str) -> str | None:
    """The quotient that the kernels compute, whose divisor is a float32, is between 0 and 1."""
    name = o.outputs[0].name
    if divisor > _LARGEST:
        return (
            f"tensor {name!r}: got a scale too large for {what} of its operands; a mask of -1e38 "
            "or -inf leaves int8 nothing else: hide with -100; nor does the erfc of JAX's exact "
            "GELU: take approximate=True"
        )
    if 0 < scale / divisor < 1:
        return None
    return f"tensor {name!r}: got a scale too small for {what} of its operands"


def sum_fits(o: Operands) -> str | None:
    """ADD and SUB shift operands up by 20 (int16: 15) bits; the way back is below 1."""
    a, b, y = (o.scale(t) for t in (*o.inputs[:2], o.outputs[0]))
    if a is None or b is None or y is None or o.outputs[0].dtype.name not in _QUANTIZED:
        return None
    shift = 15 if o.outputs[0].dtype.name == "int16" else 20
    return _below_one(o, 2 * max(a, b), y * 2**shift, "sums")


def hard_swish_fits(o: Operands) -> str | None:
    """HARD_SWISH works on 128ths of the input's steps."""
    x, y = o.scale(o.inputs[0]), o.scale(o.outputs[0])
    if x is None or y is None:
        return None
    return _below_one(o, x, 128 * y, "128ths")


def squares_fit(o: Operands) -> str | None:
    """SQUARED_DIFFERENCE shifts up by 7 bits, twice in the square."""
    a, b, y = (o.scale(t) for t in (*o.inputs[:2], o.outputs[0]))
    if a is None or b is None or y is None or o.outputs[0].dtype.name != "int8":
        return None
    return _below_one(o, (2 * max(a, b)) ** 2, y * 2**14, "squares")


def compared(o: Operands) -> str | None:
    """Comparisons bring both operands to one scale by multipliers below 1."""
    for t in o.quantized:
        scale = o.scale(t)
        if scale is None or scale >= 1:
            return f"tensor {t.name!r}: got scale {scale}, expected one below 1"
    return None


def softmax_scale(o: Operands) -> str | None:
    """SOFTMAX: beta times the input's scale is positive and not lost in 26 fractional bits."""
    x = o.inputs[0]
    scale = o.scale(x)
    if x is None or scale is None or x.dtype.name == "int16":
        return None
    if not scale * float(o.options.beta) * 2**SOFTMAX_BITS > 1:
        return f"tensor {x.name!r}: got scale {scale} and beta {o.options.beta}, too small"
    return None
