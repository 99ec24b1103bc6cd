# SPDX-License-Identifier: Apache-2.0
"""Is a lowered operator one that the device takes, with the tensors that it is to stand between?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from converter.fuse.arithmetic import Range
from converter.fuse.errors import BoundError
from converter.fused_ops import InterfaceError, check_interface, check_zero_points
from converter.tflite import Quantization, Tensor
from tflm_custom_ops.ops import OptionsError, Params, code_of, decode, encode, residual_dtype


def retyped(tensor: Tensor, type_: Range) -> Tensor:
    """The tensor with the type that it has in the fused graph."""
    dtype = np.dtype(residual_dtype(type_.bits))
    quantization = Quantization.per_tensor(type_.scale, type_.zero_point)
    return dataclasses.replace(tensor, dtype=dtype, quantization=quantization)


def accepted(op: Params, inputs: Sequence[Tensor], y: Tensor) -> Params:
    """The operator as it is read back from its encoded form, by the rules of the C parser.

    Args:
      inputs, y: its tensors in the fused graph.

    Raises:
      BoundError: the device would refuse it, or it does not fit its tensors.
    """
    try:
        decoded = decode(*encode(op))
        check_interface(decoded, inputs, y)
        check_zero_points(decoded, inputs, y)
    except (OptionsError, InterfaceError, ValueError, OverflowError) as error:
        raise BoundError(f"{code_of(op)} would be refused: {error}") from error
    return decoded
