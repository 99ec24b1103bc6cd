# SPDX-License-Identifier: Apache-2.0
"""Is a lowered operator one that the device takes, with the tensors that it is to stand between?"""

from __future__ import annotations

from collections.abc import Sequence

from converter.fuse.errors import BoundError
from converter.fused_ops import InterfaceError, check_interface, check_zero_points
from converter.tflite import Tensor
from tflm_custom_ops.ops import OptionsError, Params, code_of, decode, encode


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
