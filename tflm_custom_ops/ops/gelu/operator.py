# SPDX-License-Identifier: Apache-2.0
"""The pointwise table."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params
from tflm_custom_ops.ops.gelu.params import Gelu
from tflm_custom_ops.ops.gelu.reference import run_gelu
from tflm_custom_ops.ops.weightless import zeros
from tflm_custom_ops.ops.work import Term, Work


class GeluOperator(FusedOperator[Gelu]):
    """y = lut[x + 128] of int8 x of any shape."""

    KIND: ClassVar[int] = 5
    NAME: ClassVar[str] = "gelu"
    CODE: ClassVar[str] = "VitGelu"
    PARAMS: ClassVar[type[Params]] = Gelu
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (DeclaredTensor(None),)
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(None)
    IN_PLACE: ClassVar[str] = "1"
    HAS_SCRATCH: ClassVar[bool] = False
    C_X: ClassVar[str] = "const int8_t*"
    C_Y: ClassVar[str] = "int8_t*"
    C_NOTE: ClassVar[str] = "Pointwise table over `count` values. y may equal x."

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """int8 y of x's shape."""
        return run_gelu(self.params, x)

    def work_on(self, values: int) -> Work:
        """Four values at a time, and the rest."""
        found = Work()
        found[Term.TABLE_QUAD] += values // 4
        found[Term.TABLE_REST] += values % 4
        return found


def weightless() -> Gelu:
    """A table of zeros, to be planned but not run."""
    return Gelu(zeros("int8", 256))
