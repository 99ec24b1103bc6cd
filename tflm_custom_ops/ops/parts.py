# SPDX-License-Identifier: Apache-2.0
"""Parts that several operators have: layers, projections, LayerNorm, the residual stream."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.layouts import BY_LAYOUT, KERNEL_OF, WeightLayout
from tflm_custom_ops.ops.schema import (
    Array,
    Check,
    Expression,
    Part,
    Status,
    Struct,
    Word,
    Word64,
)
from tflm_custom_ops.ops.schema.fields import FunctionMember, dimension, zero_point
from tflm_custom_ops.ops.schema.residual import RESIDUAL_BITS, residual_type

Int8Array = NDArray[np.int8]
Int32Array = NDArray[np.int32]


@dataclasses.dataclass(frozen=True, eq=False)
class Linear(Struct):
    """One int8 linear layer: y = clamp(z + mulh((bias + w.x) << shift, multiplier)).

    Attributes:
      weights: int8 ``[out_features, in_features]``, values in [-127, 127]; of 4 bits multiples of
        16 in [-112, 112].
      bias: int32 ``[out_features]``, with ``-z_x * sum(w)`` folded in.
      multiplier: int32 ``[out_features]``, real factor times 2**(32 - shift).
      shift: left shift of the accumulator, 0..15.
      out_zero_point, out_min, out_max: of the output type.
      k_block: even; inputs between extractions of the packed sums (exact_sums.py).
      layout: how ``weights`` are stored.
    """

    C_TYPE: ClassVar[str] = "VitLinearParams"
    PARAMETERS: ClassVar[tuple[str, ...]] = ("bits",)  # of the output type

    in_features: Annotated[int, dimension("MAX_FEATURES")] = dataclasses.field(init=False)
    out_features: Annotated[int, dimension("MAX_FEATURES")] = dataclasses.field(init=False)
    weights: Annotated[
        Int8Array,
        Array(
            "int16_t",
            (
                "(out_features + 1) // 2 if layout == 0 else (out_features + 3) // 4",
                "(in_features + 1) // 2 * 2",
            ),
            codec=BY_LAYOUT,
            section="weights",
            doc="two or four output channels in an int16, inputs padded to even",
        ),
    ]
    bias: Annotated[
        Int32Array,
        Array(
            "int32_t",
            ("out_features",),
            section="biases and multipliers",
            doc="input zero point folded in",
        ),
    ]
    multiplier: Annotated[
        Int32Array, Array("int32_t", ("out_features",), section="biases and multipliers")
    ]
    shift: Annotated[int, Word(0, "MAX_SHIFT", doc="left shift of the accumulator")] = 0
    out_zero_point: Annotated[int, Word("-(1 << (bits - 1))", "(1 << (bits - 1)) - 1")] = 0
    out_min: Annotated[int, Word("-(1 << (bits - 1))", "(1 << (bits - 1)) - 1")] = -128
    out_max: Annotated[int, Word("out_min", "(1 << (bits - 1)) - 1")] = 127
    k_block: Annotated[
        int,
        Word(
            2,
            "2 * MAX_FEATURES",
            checks=(Check("k_block % 2 == 0", Status.BAD_VALUE),),
            doc="even; inputs between extractions of the packed sums",
        ),
    ] = 512
    layout: Annotated[
        WeightLayout,
        Word(
            choices=(WeightLayout.PAIRS8, WeightLayout.QUADS4),
            function=FunctionMember("VitWeightKernel", KERNEL_OF),
            doc="VitWeightLayout; in C the kernel that reads it, NULL for pairs",
        ),
    ] = WeightLayout.PAIRS8

    def __post_init__(self) -> None:
        n, k = self.weights.shape
        self.derive(in_features=int(k), out_features=int(n))


@dataclasses.dataclass(frozen=True, eq=False)
class Projection(Struct):
    """A dense linear (``down`` is None) or a low-rank pair: ``up(down(x))``."""

    C_TYPE: ClassVar[str] = "VitProjection"
    PARAMETERS: ClassVar[tuple[str, ...]] = ("bits",)  # of the output type

    rank: Annotated[
        int,
        Word(0, "MAX_FEATURES", status=Status.BAD_DIMENSION, doc="0: dense, only `up` is used"),
    ] = dataclasses.field(init=False)
    down: Annotated[
        Linear | None,
        Part(
            {"bits": "8"},
            present="rank > 0",
            checks=(Check("rank == 0 or down.out_features == rank"),),
        ),
    ] = dataclasses.field(default=None, kw_only=True)
    up: Annotated[
        Linear,
        Part({"bits": "bits"}, checks=(Check("rank == 0 or up.in_features == rank"),)),
    ]

    in_features = Expression("down.in_features if rank > 0 else up.in_features")
    out_features = Expression("up.out_features")

    def __post_init__(self) -> None:
        self.derive(rank=0 if self.down is None else self.down.out_features)


class NormPlace(enum.IntEnum):
    """Where a block normalizes; the values are part of the file format."""

    BEFORE = 0  # x + f(norm(x))
    AFTER = 1  # norm(x + f(x)); no kernels
    ABSENT = 2  # x + f(x)


class NormKind(enum.IntEnum):
    """What a normalization computes; the values are part of the file format."""

    LAYER = 0
    RMS = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Norm(Struct):
    """Integer LayerNorm or RMSNorm: int32 ``gamma`` and ``beta`` of shape ``[embed_dim]``, int64
    epsilon."""

    C_TYPE: ClassVar[str] = "VitNorm"

    features: Annotated[int, dimension("MAX_EMBED_DIM")] = dataclasses.field(init=False)
    kind: Annotated[NormKind, Word(choices=(NormKind.LAYER, NormKind.RMS), doc="VitNormKind")] = (
        dataclasses.field(default=NormKind.LAYER, kw_only=True)
    )
    gamma: Annotated[Int32Array, Array("int32_t", ("features",), section="LayerNorm")]
    beta: Annotated[Int32Array, Array("int32_t", ("features",), section="LayerNorm")]
    # The variance of MAX_EMBED_DIM_16 int16 values is below 2**49, so V stays below 2**50
    # (vit_norm.c).
    epsilon: Annotated[int, Word64(49)]

    def __post_init__(self) -> None:
        self.derive(features=int(self.gamma.shape[0]))


@dataclasses.dataclass(frozen=True, eq=False)
class Residual(Struct):
    """The residual stream's type and how the block's input x enters the last projection."""

    C_TYPE: ClassVar[str] = "VitResidual"

    bits: Annotated[int, Word(choices=RESIDUAL_BITS, doc="type of x and y")]
    zero_point: Annotated[int, zero_point("bits", doc="of x; that of y is in the projection")]
    multiplier: Annotated[int, Word()]
    shift: Annotated[int, Word(0, "MAX_RESIDUAL_SHIFT if bits == 8 else MAX_SHIFT")]


# Of a block's normalization over int16 values.
NARROW_IF_WIDE = Check("residual.bits == 8 or embed_dim <= MAX_EMBED_DIM_16", Status.BAD_DIMENSION)


def residual_dtype(bits: int) -> type[np.int8 | np.int16]:
    """NumPy type of a residual stream of ``bits`` bits."""
    return residual_type(bits).dtype
