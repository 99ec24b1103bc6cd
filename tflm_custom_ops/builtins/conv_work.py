# SPDX-License-Identifier: Apache-2.0
"""What a stem's convolution does on a core with the DSP extension (vit_conv_2d.c), counted.

The kernel gathers the patches of a few output pixels and multiplies them with four output channels
after four, as the fused operators' layers do; the pieces and their costs are theirs
(tflm_custom_ops/ops/work.py).
"""

from __future__ import annotations

import dataclasses
import functools

from tflm_custom_ops.builtins.schedule import STACK_BYTES, ConvSchedule, conv_schedule
from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.work import Store, Term, Work


@dataclasses.dataclass(frozen=True)
class StemConvolution:
    """A square convolution with `same` padding.

    Attributes:
      side: of the input, in pixels.
      inputs, outputs: channels.
      layout: of the weights.
    """

    side: int
    inputs: int
    kernel: int
    stride: int
    outputs: int
    layout: WeightLayout = WeightLayout.PAIRS8

    @property
    def out_side(self) -> int:
        return -(-self.side // self.stride)

    @property
    def pixels(self) -> int:
        """Of the output."""
        return self.out_side**2

    @property
    def features(self) -> int:
        """Inputs of an output pixel."""
        return self.kernel**2 * self.inputs

    @property
    def padding(self) -> int:
        """Pixels before the first one."""
        return max(0, (self.out_side - 1) * self.stride + self.kernel - self.side) // 2

    @property
    def macs(self) -> int:
        return self.pixels * self.features * self.outputs

    def cut(self, scratch_bytes: int) -> ConvSchedule:
        """Its schedule; with less than STACK_BYTES of scratch it takes those from the stack."""
        return conv_schedule(
            self.features, self.outputs, self.pixels, max(STACK_BYTES, scratch_bytes)
        )

    def weight_bytes_read(self, scratch_bytes: int) -> int:
        """Of packed weights: all of them for each tile of pixels."""
        tiles = -(-self.pixels // self.cut(scratch_bytes).rows)
        quad_bytes = pieces.CHANNELS * self.layout.bits // 8
        return tiles * -(-self.outputs // pieces.CHANNELS) * self.features * quad_bytes

    def work(self, scratch_bytes: int) -> Work:
        """Of one run."""
        work, cut = Work(), self.cut(scratch_bytes)
        work[Term.CONVOLUTION] += 1
        work[Term.CONV_CLEAR] += cut.rows * cut.inputs
        for rows, tiles in pieces.parts(self.pixels, cut.rows):
            for channels, ranges in pieces.parts(self.outputs, cut.channels):
                self._add_tile(work, cut, (rows, channels), tiles * ranges)
        self._add_gathering(work, cut)
        return work

    def _add_tile(self, work: Work, cut: ConvSchedule, size: tuple[int, int], times: int) -> None:
        """Sums of (pixels, channels), and their store."""
        rows, channels = size
        work[Term.CONV_TILE] += times
        work[Term.CONV_ROW] += times * rows
        work[Term.CONV_OUTPUT] += times * rows * channels
        for inputs, parts in pieces.parts(self.features, cut.inputs):
            shape = pieces.LayerShape(channels, inputs, self.layout)
            pieces.add_layer(work, shape, rows, Store.ADD, MAX_EXPANSION, times * parts)

    def _add_gathering(self, work: Work, cut: ConvSchedule) -> None:
        """Of all patches; of each again for other channels, where their inputs are cut."""
        parts = -(-self.features // cut.inputs)
        again = -(-self.outputs // cut.channels) if parts > 1 else 1
        taps, inside = (self.out_side * self.kernel) ** 2, self.inside**2
        work[Term.CONV_PIXEL] += again * parts * self.pixels
        cuts = sum(part * cut.inputs % self.inputs > 0 for part in range(1, parts))  # of taps
        work[Term.CONV_TAP] += again * (inside + cuts * self.pixels)
        work[Term.CONV_TAP_OUTSIDE] += again * (taps - inside)
        work[Term.CONV_PAIRS] += again * inside * min(self.inputs // 2, 1)
        work[Term.CONV_PAIR] += again * inside * (self.inputs // 2)
        work[Term.CONV_ODD] += again * inside * (self.inputs % 2)
        work[Term.CONV_FILL] += again * (taps - inside) * self.inputs

    @functools.cached_property
    def inside(self) -> int:
        """Taps in the image, of a line of output pixels and a line of the kernel."""
        places = (
            pixel * self.stride - self.padding + tap
            for pixel in range(self.out_side)
            for tap in range(self.kernel)
        )
        return sum(0 <= place < self.side for place in places)
