# SPDX-License-Identifier: Apache-2.0
"""The fused operators, each declared once in a folder of its own; docs/operators.md."""

from tflm_custom_ops.ops.attention.params import Attention
from tflm_custom_ops.ops.attention_core.params import AttentionCore, View
from tflm_custom_ops.ops.base import FusedOperator, Params, Streaming, TensorType
from tflm_custom_ops.ops.codec import (
    HEADER_WORDS,
    MAGIC,
    VERSION,
    decode,
    encode,
    parse,
    with_schedule,
)
from tflm_custom_ops.ops.gelu.params import Gelu
from tflm_custom_ops.ops.layer_norm.params import LayerNorm, Pool
from tflm_custom_ops.ops.layouts import pack_dual_channel, unpack_dual_channel
from tflm_custom_ops.ops.linear.params import LinearOp
from tflm_custom_ops.ops.mlp.params import Mlp
from tflm_custom_ops.ops.parts import (
    Int8Array,
    Int32Array,
    Linear,
    Norm,
    Projection,
    Residual,
    residual_dtype,
)
from tflm_custom_ops.ops.patch_embed.params import PatchEmbed
from tflm_custom_ops.ops.patch_merge.params import PatchMerge
from tflm_custom_ops.ops.registry import (
    BY_CODE,
    BY_KIND,
    OPERATORS,
    OpKind,
    code_of,
    kind_of,
    operator_of,
    run_reference,
)
from tflm_custom_ops.ops.schema import OptionsError, Status
from tflm_custom_ops.ops.schema.limits import MAX_EMBED_DIM, MAX_EMBED_DIM_16

__all__ = [
    "BY_CODE",
    "BY_KIND",
    "HEADER_WORDS",
    "MAGIC",
    "MAX_EMBED_DIM",
    "MAX_EMBED_DIM_16",
    "OPERATORS",
    "VERSION",
    "Attention",
    "AttentionCore",
    "FusedOperator",
    "Gelu",
    "Int8Array",
    "Int32Array",
    "LayerNorm",
    "Linear",
    "LinearOp",
    "Mlp",
    "Norm",
    "OpKind",
    "OptionsError",
    "Params",
    "PatchEmbed",
    "PatchMerge",
    "Pool",
    "Projection",
    "Residual",
    "Status",
    "Streaming",
    "TensorType",
    "View",
    "code_of",
    "decode",
    "encode",
    "kind_of",
    "operator_of",
    "pack_dual_channel",
    "parse",
    "residual_dtype",
    "run_reference",
    "unpack_dual_channel",
    "with_schedule",
]
