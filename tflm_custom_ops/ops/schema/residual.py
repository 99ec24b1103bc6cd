# SPDX-License-Identifier: Apache-2.0
"""The types that a residual stream may have: one table."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tflm_custom_ops.ops.schema.status import OptionsError


@dataclasses.dataclass(frozen=True)
class ResidualType:
    """A type of the residual stream.

    Attributes:
      bits: as operators' parameters name it.
      dtype: in NumPy.
      ctype: in C.
      tflite: its TensorType in a `.tflite`.
    """

    bits: int
    dtype: type[np.int8 | np.int16]
    ctype: str
    tflite: str

    @property
    def low(self) -> int:
        """Least value."""
        return int(np.iinfo(self.dtype).min)

    @property
    def high(self) -> int:
        """Greatest value."""
        return int(np.iinfo(self.dtype).max)


INT8 = ResidualType(8, np.int8, "int8_t", "INT8")
INT16 = ResidualType(16, np.int16, "int16_t", "INT16")
RESIDUAL_TYPES = (INT8, INT16)
RESIDUAL_BITS = tuple(kind.bits for kind in RESIDUAL_TYPES)


def residual_type(bits: Any) -> ResidualType:
    """The type of ``bits`` bits.

    Raises:
      OptionsError: there is none.
    """
    for kind in RESIDUAL_TYPES:
        if kind.bits == bits:
            return kind
    expected = " or ".join(map(str, RESIDUAL_BITS))
    raise OptionsError(f"residual bits: got {bits}, expected {expected}")
