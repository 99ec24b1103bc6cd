# SPDX-License-Identifier: Apache-2.0
"""How a convolution is cut to fit its scratch; never changes a result."""

from __future__ import annotations

import dataclasses

ROW_GROUP = 3  # rows that the matrix core computes together (kernels/vit_gemm.h)
ROWS = (18, 15, 12, 9, 6)  # output pixels at a time; weights are expanded once for all of them
STACK_BYTES = 768  # VIT_CONV_2D_STACK_BYTES of vit_builtins.h


@dataclasses.dataclass(frozen=True)
class ConvSchedule:
    """The last members of VitConv2DParams.

    Attributes:
      rows: output pixels at a time, a multiple of ROW_GROUP.
      inputs: inputs of a pixel that are gathered at a time, even.
      channels: output channels at a time, even.
    """

    rows: int
    inputs: int
    channels: int

    @property
    def scratch_bytes(self) -> int:
        """int16 [rows][inputs] and int32 [rows][channels]."""
        return self.rows * (2 * self.inputs + 4 * self.channels)


def _even(n: int) -> int:
    return (n + 1) // 2 * 2


def conv_schedule(in_features: int, out_features: int, budget_bytes: int) -> ConvSchedule:
    """The schedule with the most rows that needs no cut, else six rows and even cuts.

    Args:
      in_features: kernel_height * kernel_width * input_channels.
      out_features: output channels.
      budget_bytes: of scratch, at least STACK_BYTES.
    """
    inputs, channels = _even(in_features), _even(out_features)
    for rows in ROWS:
        whole = ConvSchedule(rows, inputs, channels)
        if whole.scratch_bytes <= budget_bytes:
            return whole
    rows = ROWS[-1]
    channels = min(channels, budget_bytes // 2 // (4 * rows) // 2 * 2)
    rest = budget_bytes - 4 * rows * channels
    return ConvSchedule(rows, min(inputs, rest // (2 * rows) // 2 * 2), channels)
