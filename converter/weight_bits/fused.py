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
from converter.weight_bits.wanted import WeightBits

MAX_ROUNDING_SAMPLES = 64  # of the calibration images, that weights are rounded against
RANDOM_PROBES = 4  # where no images are given; only the error is measured on them

Probes = Sequence[Sequence[NDArray[Any]]]


@dataclasses.dataclass(frozen=True)
class RoundedFile:
    """A plain file with weights of 4 bits."""

    model_bytes: bytes
    report: WeightBitsReport


def round_file(
    content: bytes,
    wanted: WeightBits,
    residual_bits: int | None = None,
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
        ops += _of_convolutions(model.graph, wanted.convolutions)
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


def _of_convolutions(graph: Graph, blocks: Iterable[str]) -> list[int]:
    """Convolutions of some blocks, by the layers' names in those of the results.

    Raises:
      TfliteError: a block that has none.
    """
    names = {
        index: f"/{graph.tensors[op.outputs[0]].name}".replace(";", "/")
        for index, op in enumerate(graph.operators)
        if op.opcode == "CONV_2D"
    }
    found = []
    for block in blocks:
        own = [index for index, name in names.items() if f"/{block}_" in name]
        if not own:
            raise TfliteError(
                f"weight_bits: got 4 bits for {block}, expected a convolution whose name begins so"
            )
        found += own
    return found


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
