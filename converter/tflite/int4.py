# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits as TFLite stores them (INT4); they are read as int8 with the same scales.

Whatever follows knows int8 alone. That a layer's weights lie in [-7, 7] is what the fuser makes a
layer of 4 bits of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from converter.tflite.model import Operator, Tensor, TfliteError

# Operators whose second input LiteRT takes as int4.
_LAYERS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")


def numbers(packed: bytes, name: str, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Two in a byte, the first in its low bits, as an array of the shape.

    Raises:
      TfliteError: another number of bytes, or none: int4 is for constants.
    """
    count = int(np.prod(shape, dtype=np.int64))
    expected = (count + 1) // 2
    if len(packed) != expected or not count:
        raise TfliteError(
            f"tensor {name!r}: got {len(packed)} bytes of data, expected {expected} for shape "
            f"{list(shape)} of int4, which only constants have"
        )
    content = np.frombuffer(packed, np.uint8)
    pairs = np.stack([content << 4, content & 0xF0], axis=1).view(np.int8)
    found: NDArray[np.int8] = (pairs.reshape(-1)[:count] >> 4).reshape(shape)
    found.flags.writeable = False
    return found


def check(operators: Sequence[Operator], tensors: Sequence[Tensor], int4: Collection[int]) -> None:
    """Raises TfliteError for int4 that is not the symmetric weights of an int8 layer."""
    for index, op in enumerate(operators):
        for place, t in enumerate(op.inputs):
            if t not in int4:
                continue
            q = tensors[t].quantization
            is_layer = place == 1 and op.opcode in _LAYERS
            if not is_layer or tensors[op.inputs[0]].dtype != np.int8:
                layers = ", ".join(_LAYERS)
                raise TfliteError(
                    f"operator {index} ({op.name}): got an int4 operand, expected it as weights of "
                    f"{layers} of int8 alone; quantize to plain int8"
                )
            if q is None or np.any(q.zero_point):
                raise TfliteError(
                    f"operator {index} ({op.name}): got int4 weights without scales or with zero "
                    "points, expected symmetric ones; quantize to plain int8"
                )
