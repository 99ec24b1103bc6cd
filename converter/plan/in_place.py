# SPDX-License-Identifier: Apache-2.0
"""Which operators may write their output over an input that dies in them.

Facts about kernels, not about graphs: the fused operators as ``kernels/vit_kernels.h`` states;
builtin operators whose TFLM and CMSIS-NN kernels read each element before they write the same
one (checked by running planned models: outputs stay identical).
"""

from __future__ import annotations

from converter.tflite import Operator, Tensor
from tflm_custom_ops.ops import Params, operator_of

# Inputs that may be overwritten, by builtin operator name.
BUILTIN_IN_PLACE: dict[str, tuple[int, ...]] = {
    "ADD": (0, 1),
    "SUB": (0, 1),
    "MUL": (0, 1),
    "LOGISTIC": (0,),
    "NEG": (0,),
    "RSQRT": (0,),
    "RESHAPE": (0,),
    "SOFTMAX": (0,),
}


def overwritable_inputs(
    op: Operator, fused: Params | None, tensors: tuple[Tensor, ...]
) -> tuple[int, ...]:
    """Tensor indices of activations that the (single) output may replace at the same offset.

    The caller still has to check that the tensor dies in this operator.

    Args:
      fused: the operator's parameters, if it is a fused one.
    """
    if len(op.outputs) != 1:
        return ()
    output = tensors[op.outputs[0]]
    if op.opcode == "CUSTOM":
        may_overwrite = fused is not None and operator_of(fused).in_place
        candidates = op.inputs[:1] if may_overwrite and op.inputs.count(op.inputs[0]) == 1 else ()
        # A pooled LayerNorm's output is another shape; nothing is saved, so it stays apart.
        return tuple(i for i in candidates if tensors[i].size == output.size)
    found = []
    for position in BUILTIN_IN_PLACE.get(op.opcode, ()):
        if position >= len(op.inputs) or op.inputs[position] < 0:
            continue
        tensor = tensors[op.inputs[position]]
        same_shape = tensor.shape == output.shape or op.opcode == "RESHAPE"
        if not tensor.is_constant and same_shape and tensor.dtype == output.dtype:
            found.append(op.inputs[position])
    return tuple(dict.fromkeys(found))
