# SPDX-License-Identifier: Apache-2.0
"""Every operator, once; and the ways to find one."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops.attention.operator import AttentionOperator
from tflm_custom_ops.ops.attention_core.operator import AttentionCoreOperator
from tflm_custom_ops.ops.base import FusedOperator, Params
from tflm_custom_ops.ops.gelu.operator import GeluOperator
from tflm_custom_ops.ops.layer_norm.operator import LayerNormOperator
from tflm_custom_ops.ops.linear.operator import LinearOperator
from tflm_custom_ops.ops.mlp.operator import MlpOperator
from tflm_custom_ops.ops.patch_embed.operator import PatchEmbedOperator
from tflm_custom_ops.ops.patch_merge.operator import PatchMergeOperator
from tflm_custom_ops.ops.rms_norm.operator import RmsNormOperator

OPERATORS: tuple[type[FusedOperator[Any]], ...] = (
    PatchEmbedOperator,
    AttentionOperator,
    MlpOperator,
    LayerNormOperator,
    GeluOperator,
    LinearOperator,
    RmsNormOperator,
    AttentionCoreOperator,
    PatchMergeOperator,
)

BY_KIND = {operator.KIND: operator for operator in OPERATORS}
BY_CODE = {operator.CODE: operator for operator in OPERATORS}
_BY_PARAMS = {operator.PARAMS: operator for operator in OPERATORS}

# The kinds as an enumeration, e.g. OpKind.ATTENTION; the values are part of the file format.
OpKind = enum.IntEnum("OpKind", {o.NAME.upper(): o.KIND for o in OPERATORS})  # type: ignore[misc]

assert len(BY_KIND) == len(BY_CODE) == len(_BY_PARAMS) == len(OPERATORS)


def operator_of(params: Params) -> FusedOperator[Any]:
    """The operator that has these parameters.

    >>> operator_of(params).scratch_bytes  # doctest: +SKIP
    8944
    """
    return _BY_PARAMS[type(params)](params)


def kind_of(params: Params) -> OpKind:
    """Its number in the file format."""
    return OpKind(_BY_PARAMS[type(params)].KIND)


def code_of(params: Params) -> str:
    """Its custom code, e.g. "VitAttention"."""
    return _BY_PARAMS[type(params)].CODE


def run_reference(params: Params, *inputs: ArrayLike) -> NDArray[Any]:
    """Runs one operator on its inputs, by its definition (the NumPy reference)."""
    return np.asarray(operator_of(params).reference(*inputs))
