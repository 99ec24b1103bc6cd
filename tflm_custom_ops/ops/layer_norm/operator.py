# SPDX-License-Identifier: Apache-2.0
"""LayerNorm on its own."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params
from tflm_custom_ops.ops.layer_norm.params import LayerNorm, Pool
from tflm_custom_ops.ops.layer_norm.reference import run_layer_norm
from tflm_custom_ops.ops.schema.limits import MAX_EMBED_DIM, MAX_EMBED_DIM_16
from tflm_custom_ops.ops.scratch import area
from tflm_custom_ops.ops.weightless import norm
from tflm_custom_ops.ops.work import Term, Work


class LayerNormOperator(FusedOperator[LayerNorm]):
    """y = LayerNorm(x), of all tokens, of the first, or their mean."""

    KIND: ClassVar[int] = 4
    NAME: ClassVar[str] = "layer_norm"
    CODE: ClassVar[str] = "VitLayerNorm"
    PARAMS: ClassVar[type[Params]] = LayerNorm
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (
        DeclaredTensor(("tokens", "embed_dim"), "input_bits"),
    )
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(("tokens if pool == 0 else 1", "embed_dim"))
    IN_PLACE: ClassVar[str] = "1"
    C_Y: ClassVar[str] = "int8_t*"
    C_NOTE: ClassVar[str] = (
        "LayerNorm: x int8/int16 [tokens][embed_dim]; y int8, [tokens][embed_dim] or pooled\n"
        "[embed_dim]. y may equal x (the same address)."
    )

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """int8 y ``[tokens, embed_dim]``, or ``[1, embed_dim]`` pooled."""
        return run_layer_norm(self.params, x)

    @property
    def scratch_bytes(self) -> int:
        """Sums and one row, for the mean."""
        p = self.params
        if p.pool is not Pool.MEAN:
            return 0
        return area(1, p.embed_dim, 4) + area(1, p.embed_dim, 1)

    @property
    def work(self) -> Work:
        """Rows, and for the mean a pass over each and over the sums."""
        p, found = self.params, Work()
        tokens = 1 if p.pool is Pool.FIRST else p.tokens
        row, element = (
            (Term.TOKEN_ROW_8, Term.TOKEN_8)
            if p.input_bits == 8
            else (Term.TOKEN_ROW_16, Term.TOKEN_16)
        )
        found[row] += tokens
        found[element] += tokens * p.embed_dim
        pieces.add_norm_ends(found, tokens, p.embed_dim, p.input_bits)
        if p.pool is Pool.MEAN:
            found[Term.POOLED] += 1
            found[Term.POOL_ROW] += tokens
            found[Term.POOL] += tokens * p.embed_dim
            found[Term.POOL_END] += p.embed_dim
        return found


def weightless(tokens: int, embed_dim: int, *, bits: int = 8, pool: Pool = Pool.NONE) -> LayerNorm:
    """One of these sizes without weights, to be planned but not run.

    Raises:
      ValueError: more features than the device takes.
    """
    widest = MAX_EMBED_DIM if bits == 8 else MAX_EMBED_DIM_16
    if embed_dim > widest:
        raise ValueError(
            f"LayerNorm of int{bits}: got {embed_dim} features, expected at most {widest}; make "
            "the tokens narrower" + (", or the residual stream int8" if bits == 16 else "")
        )
    return LayerNorm(tokens, embed_dim, bits, pool, 0, 1, 0, norm(embed_dim))
