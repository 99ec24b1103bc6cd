# SPDX-License-Identifier: Apache-2.0
"""Rounds the weights of a plain file's layers, under a limit of flash where there is one.

Layers that become part of a fused operator have 4 bits in every runtime. Convolutions and layers
that stay builtin keep int8 weights in the file; the compiled runtime stores them in 4 bits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from converter.compile.prepared import prepared
from converter.fuse import fuse_model
from converter.fuse.errors import NoMatchError
from converter.fuse.gate.probes import Feeds
from converter.fuse.report import FusedOp
from converter.fused_ops import decoded_all
from converter.plan.metadata import PLAN_NAME
from converter.plan.model import plan_model
from converter.plan.stored import plan_of
from converter.tflite import Graph, GraphView, Model, TfliteError, parse, serialize
from converter.weight_bits.choice import cheapest
from converter.weight_bits.pipeline import RoundingMethod, WeightBitsReport, WeightRounding

MAX_ROUNDING_SAMPLES = 64  # of the calibration images, that weights are rounded against
RANDOM_PROBES = 4  # where no images are given; only the error is measured on them

Probes = Sequence[Sequence[NDArray[Any]]]


@dataclasses.dataclass(frozen=True)
class WeightBits:
    """What is asked for.

    Attributes:
      bits: 4, or 0: as few layers of 4 bits as `constant_bytes` needs.
      constant_bytes: that the constants in an image of the fused file may take; only with 0.
      blocks: numbers, among those of attention, of the ones that have 4 bits, where not all layers
        do; only with 4.
    """

    bits: int
    constant_bytes: int | None = None
    blocks: frozenset[int] | None = None

    @classmethod
    def chosen(cls, bits: int, constant_bytes: int | None) -> WeightBits | None:
        """Of a number of bits or a limit; None for 8 bits.

        Raises:
          TfliteError: neither 4 nor 8, or 4 with a limit.
        """
        if bits not in (4, 8):
            raise TfliteError(f"weight_bits: got {bits}, expected 4 or 8")
        if constant_bytes is None:
            return cls(4) if bits == 4 else None
        if bits == 4:
            raise TfliteError("constant_bytes: got it with weight_bits 4, expected one of the two")
        return cls(0, constant_bytes)

    @classmethod
    def of_blocks(cls, bits: Sequence[int]) -> WeightBits | None:
        """Of an architecture's `weight_bits`; None where all blocks have 8."""
        blocks = frozenset(block for block, own in enumerate(bits) if own == 4)
        return cls(4, blocks=blocks) if blocks else None

    @classmethod
    def of(cls, text: str, flash: int | None, code_bytes: int) -> WeightBits | None:
        """Of --weight_bits, --flash and --code_bytes; None for 8 bits.

        Raises:
          ValueError: flags that do not go together.
        """
        if text != "auto":
            if flash is not None:
                raise ValueError(f"--flash goes with --weight_bits=auto, got {text}")
            return cls(4) if text == "4" else None
        if flash is None:
            raise ValueError("--weight_bits=auto needs --flash, the bytes that must do")
        return cls(0, max(0, flash - code_bytes))


@dataclasses.dataclass(frozen=True)
class RoundedFile:
    """A plain file with weights of 4 bits."""

    model_bytes: bytes
    report: WeightBitsReport


def round_file(
    content: bytes,
    wanted: WeightBits,
    residual_bits: int = 8,
    signature: str | None = None,
    probes: Probes | None = None,
    method: RoundingMethod | None = None,
) -> RoundedFile:
    """A plain file whose layers have weights of 4 bits, where the limit wants it.

    Args:
      content: of the plain int8 file.
      wanted: which layers.
      residual_bits, signature: as for `fuse_model`.
      probes: inputs of the network, images for example; None makes some from its ranges, which say
        too little of what layers read to round against it.
      method: None rounds against the network's inputs where probes are given, else to the nearest.

    Raises:
      TfliteError: a file that `fuse_model` refuses, a network that cannot be evaluated here, or one
        that is too large with all layers at 4 bits.
    """
    model = parse(content, signature)
    feeds = Feeds(GraphView(model.graph), probes)
    count = RANDOM_PROBES if probes is None else len(probes)
    if method is None:
        method = RoundingMethod.NEAREST if probes is None else RoundingMethod.NETWORK
    ops: Iterable[int] = range(len(model.graph.operators))
    if wanted.blocks is not None:
        report = fuse_model(content, residual_bits, signature, probes).report
        ops = _of_blocks(report.fused, wanted.blocks)
    layers = WeightRounding(model, ops, feeds, count, method)

    def image(of: Model) -> int:
        return image_bytes(fuse_model(serialize(of), residual_bits, signature, probes).model_bytes)

    try:
        chosen = None
        if wanted.constant_bytes is not None:
            chosen = _under(layers, image, model, wanted.constant_bytes)
        rounded = layers.rounded(chosen)
    except NoMatchError as error:
        raise TfliteError(f"--weight_bits: the network cannot be evaluated: {error}") from error
    return RoundedFile(serialize(rounded.model), rounded.report)


def _of_blocks(fused: Iterable[FusedOp], blocks: frozenset[int]) -> list[int]:
    """Plain operators of some blocks.

    Raises:
      TfliteError: a block's attention or MLP was not fused with its projections.
    """
    found = {op.label.removesuffix(" without a norm"): op.plain_ops for op in fused}
    names = [f"block {block} {part}" for block in sorted(blocks) for part in ("attention", "mlp")]
    if missing := [name for name in names if name not in found]:
        raise TfliteError(
            f"weight_bits: got 4 bits for {', '.join(missing)}, expected it among what is fused"
        )
    return [op for name in names for op in found[name]]


def _under(
    layers: WeightRounding, image: Callable[[Model], int], model: Model, limit: int
) -> list[int]:
    """As few layers as an image's constants need to be at most the limit.

    What a layer saves is known before; that it does is seen in the image (a factor above 1 keeps a
    convolution at 8 bits).
    """
    wanted = over = image(model) - limit
    chosen: list[int] = []
    while over > 0:
        if len(chosen) == len(layers.layers):
            raise TfliteError(
                f"--flash: got room for {limit:,} B of constants, expected {limit + over:,} or "
                "more: that is what they take with 4 bits in every layer"
            )
        chosen = cheapest(layers.layers, layers.noise(), wanted)
        over = image(layers.sizes(chosen)) - limit
        wanted += max(over, 1)
    return chosen


def image_bytes(fused: bytes) -> int:
    """Of the constants in an image of a fused file; those of the file, where only TFLM runs it."""
    model = parse(fused)
    if all(entry.name != PLAN_NAME for entry in model.metadata):
        model = parse(plan_model(fused).model_bytes)
    graph = model.graph
    found = prepared(graph, decoded_all(graph), plan_of(model)).constant_bytes
    return constant_bytes(graph) if found is None else found


def expect_within(fused: bytes, wanted: WeightBits) -> None:
    """Raises TfliteError where the constants of a fused file are more than was asked for."""
    found = image_bytes(fused)
    if wanted.constant_bytes is not None and found > wanted.constant_bytes:
        raise TfliteError(
            f"--flash: got {found:,} B of constants, expected {wanted.constant_bytes:,} or less; "
            "nothing was written"
        )


def constant_bytes(graph: Graph) -> int:
    """Of a file; equal constants are stored once."""
    constants = {t.data.tobytes() for t in graph.tensors if t.data is not None}
    return sum(map(len, constants))
