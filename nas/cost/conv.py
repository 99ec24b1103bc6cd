# SPDX-License-Identifier: Apache-2.0
"""Instructions of a stem's convolution on a Cortex-M7, from what its kernel does.

The kernel (tflm_custom_ops/builtins/vit_conv_2d.c) gathers the patches of a few output pixels, and
multiplies them with four output channels after four; `KernelWork` counts its loops for a shape
and a scratch, `INSTRUCTIONS` says what each costs. The numbers are fitted to exact counts of the
emulated kernel over many shapes (`benchmarks.conv_instructions`, whose record a test compares).
"""

from __future__ import annotations

import dataclasses

from tflm_custom_ops.builtins.schedule import ROW_GROUP, STACK_BYTES, conv_schedule


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """A convolution.

    Attributes:
      pixels: of the output.
      taps: kernel height * kernel width.
      inputs, outputs: channels.
    """

    pixels: int
    taps: int
    inputs: int
    outputs: int


@dataclasses.dataclass(frozen=True)
class KernelWork:
    """How often each part of the kernel runs; with `INSTRUCTIONS`, how many instructions that is.

    Attributes:
      taps: runs of inputs that are gathered.
      gathered: inputs.
      products: inputs, times fours of channels, times groups of two pixels.
      expanded: inputs of fours of channels whose weights are expanded.
      sums: results of two pixels and four channels that are added up.
      quads: fours of channels that are begun.
      outputs: outputs that are scaled and stored.
      tiles: begun.
    """

    taps: float
    gathered: float
    products: float
    expanded: float
    sums: float
    quads: float
    outputs: float
    tiles: float


def work_of(shape: ConvShape, scratch_bytes: int) -> KernelWork:
    """The work of a convolution whose arena leaves it so much scratch; below 768 bytes it takes
    those from the stack."""
    features = shape.taps * shape.inputs
    cut = conv_schedule(features, shape.outputs, max(STACK_BYTES, scratch_bytes))
    full, last = divmod(shape.pixels, cut.rows)
    tiles = full + bool(last)
    groups = full * -(-cut.rows // ROW_GROUP) + -(-last // ROW_GROUP)
    parts = -(-features // cut.inputs)  # of the inputs
    cuts = -(-shape.outputs // cut.channels)  # of the channels
    again = cuts if parts > 1 else 1  # gathered
    quads = -(-shape.outputs // 4)
    return KernelWork(
        taps=shape.pixels * again * (shape.taps + parts - 1),
        gathered=shape.pixels * again * features,
        products=groups * quads * features,
        expanded=tiles * quads * features,
        sums=groups * quads * parts,
        quads=tiles * quads * parts,
        outputs=shape.pixels * shape.outputs,
        tiles=tiles * parts * cuts,
    )


def instructions(shape: ConvShape, scratch_bytes: int) -> float:
    """Estimated instructions of one run."""
    work, costs = (dataclasses.astuple(w) for w in (work_of(shape, scratch_bytes), INSTRUCTIONS))
    return float(sum(count * each for count, each in zip(work, costs, strict=True)))


INSTRUCTIONS = KernelWork(
    taps=58.58,
    gathered=7.071,
    products=3.524,
    expanded=1.94,
    sums=30.04,
    quads=267.0,
    outputs=53.22,
    tiles=244.9,
)
