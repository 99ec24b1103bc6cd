# SPDX-License-Identifier: Apache-2.0
"""How a convolution is cut to fit its scratch; never changes a result."""

from __future__ import annotations

import dataclasses

from tflm_custom_ops.ops.scratch import ROW_GROUP, expansion

__all__ = ["ROWS", "ROW_GROUP", "STACK_BYTES", "ConvSchedule", "conv_schedule"]

# Output pixels at a time; they share expanded weights, 48 at most (VIT_DSP_MAX_GROUPS).
ROWS = (48, 42, 36, 32, 28, 24, 20, 18, 16, 14, 12, 10, 8, 6, 4)
CHANNELS = 4  # that the matrix core computes together
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
        """int16 [rows][inputs], int32 [rows][channels] and the expanded weights."""
        return self.rows * (2 * self.inputs + 4 * self.channels) + expansion(self.inputs)


def _even(n: int) -> int:
    return (n + 1) // 2 * 2


def conv_schedule(
    in_features: int, out_features: int, pixels: int, budget_bytes: int
) -> ConvSchedule:
    """The schedule with the most rows that needs no cut, else four rows and cuts.

    The channels are cut first: the inputs stay for all of them.

    Args:
      in_features: kernel_height * kernel_width * input_channels.
      out_features: output channels.
      pixels: of the output.
      budget_bytes: of scratch, at least STACK_BYTES.
    """
    inputs, channels = _even(in_features), _even(out_features)
    for rows in ROWS:
        if rows > max(_even(pixels), ROWS[-1]):
            continue
        whole = ConvSchedule(rows, inputs, channels)
        if whole.scratch_bytes <= budget_bytes:
            return whole
    rows = ROWS[-1]
    kept = ConvSchedule(rows, inputs, CHANNELS)  # gathered once, kept for all channels
    if kept.scratch_bytes <= budget_bytes:
        more = (budget_bytes - kept.scratch_bytes) // (4 * rows * CHANNELS)
        return ConvSchedule(rows, inputs, min(channels, (1 + more) * CHANNELS))
    channels = min(channels, budget_bytes // 2 // (4 * rows * CHANNELS) * CHANNELS)
    cut = ConvSchedule(rows, inputs, channels)
    while cut.scratch_bytes > budget_bytes:
        cut = dataclasses.replace(cut, inputs=cut.inputs - 2)
    return cut
