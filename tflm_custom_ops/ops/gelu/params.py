# SPDX-License-Identifier: Apache-2.0
"""Parameters of the pointwise table."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import Int8Array
from tflm_custom_ops.ops.schema import Array


@dataclasses.dataclass(frozen=True, eq=False)
class Gelu(Params):
    """Pointwise int8 table: y = lut[x + 128]."""

    C_TYPE: ClassVar[str] = "VitGeluParams"

    lut: Annotated[Int8Array, Array("int8_t", ("256",), doc="indexed by value + 128")]
