# SPDX-License-Identifier: Apache-2.0
"""RMSNorm on its own."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params
from tflm_custom_ops.ops.rms_norm.params import RmsNorm
from tflm_custom_ops.ops.rms_norm.reference import run_rms_norm
from tflm_custom_ops.ops.weightless import zeros
from tflm_custom_ops.ops.work import Term, Work


class RmsNormOperator(FusedOperator[RmsNorm]):
    """y = x / sqrt(mean(x**2) + epsilon) * gamma."""

    KIND: ClassVar[int] = 7
    NAME: ClassVar[str] = "rms_norm"
    CODE: ClassVar[str] = "VitRmsNorm"
    PARAMS: ClassVar[type[Params]] = RmsNorm
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (
        DeclaredTensor(("tokens", "embed_dim"), "input_bits", zero_point="input_zero_point"),
    )
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(
        ("tokens", "embed_dim"), zero_point="out_zero_point"
    )
    IN_PLACE: ClassVar[str] = "1"
    C_Y: ClassVar[str] = "int8_t*"
    C_NOTE: ClassVar[str] = (
        "RMSNorm: x int8/int16 [tokens][embed_dim]; y int8. y may equal x (the same address)."
    )

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """int8 y ``[tokens, embed_dim]``."""
        return run_rms_norm(self.params, x)

    @property
    def work(self) -> Work:
        """Rows."""
        p, found = self.params, Work()
        row, element = (
            (Term.RMS_ROW_8, Term.RMS_8) if p.input_bits == 8 else (Term.RMS_ROW_16, Term.RMS_16)
        )
        found[row] += p.tokens
        found[element] += p.tokens * p.embed_dim
        pieces.add_norm_ends(found, p.tokens, p.embed_dim, p.input_bits)
        return found


def weightless(tokens: int, embed_dim: int, *, bits: int = 8) -> RmsNorm:
    """One of these sizes without weights, to be planned but not run."""
    return RmsNorm(tokens, embed_dim, bits, 0, 0, zeros("int32", embed_dim), 1)
