# SPDX-License-Identifier: Apache-2.0
"""Rounds the weights of those layers of a plain file that the fuser makes fused operators of.

Others would not get smaller: builtin operators have weights of 8 bits in every runtime.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from converter.fuse import fuse_model
from converter.fuse.errors import NoMatchError
from converter.fuse.gate.probes import Feeds
from converter.tflite import Graph, GraphView, TfliteError, parse, serialize
from converter.weight_bits.pipeline import RoundingMethod, WeightBitsReport, round_weights

RANDOM_PROBES = 4  # where no images are given; only the error is measured on them

Probes = Sequence[Sequence[NDArray[Any]]]


@dataclasses.dataclass(frozen=True)
class WeightBits:
    """What is asked for.

    Attributes:
      bits: 4, or 0: as few layers of 4 bits as `constant_bytes` needs.
      constant_bytes: that the constants of the fused file may take; only with 0.
    """

    bits: int
    constant_bytes: int | None = None

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
    """A plain file whose fused operators will have weights of 4 bits.

    Args:
      content: of the plain int8 file.
      wanted: which layers.
      residual_bits, signature: as for `fuse_model`.
      probes: inputs of the network, images for example; None makes some from its ranges, which say
        too little of what layers read to round against it.
      method: None rounds against the inputs of layers where probes are given, else to the nearest.

    Raises:
      TfliteError: a file that `fuse_model` refuses, a network that cannot be evaluated here, or one
        that is too large with all layers at 4 bits.
    """
    fused = fuse_model(content, residual_bits, signature, probes)
    ops = sorted({op for each in fused.report.fused for op in each.plain_ops})
    model = parse(content, signature)
    feeds = Feeds(GraphView(model.graph), probes)
    count = RANDOM_PROBES if probes is None else len(probes)
    if method is None:
        method = RoundingMethod.NEAREST if probes is None else RoundingMethod.INPUTS
    over = None
    if wanted.constant_bytes is not None:
        over = constant_bytes(parse(fused.model_bytes).graph) - wanted.constant_bytes
    try:
        rounded = round_weights(model, ops, feeds, count, method, over)
    except NoMatchError as error:
        raise TfliteError(f"--weight_bits: the network cannot be evaluated: {error}") from error
    if over is not None and rounded.report.saved_bytes < over:
        least = wanted.constant_bytes + over - rounded.report.saved_bytes  # type: ignore[operator]
        raise TfliteError(
            f"--flash: got room for {wanted.constant_bytes:,} B of constants, expected {least:,} "
            "or more: that is what they take with 4 bits in every fused layer"
        )
    return RoundedFile(serialize(rounded.model), rounded.report)


def constant_bytes(graph: Graph) -> int:
    """Of a file; equal constants are stored once."""
    constants = {t.data.tobytes() for t in graph.tensors if t.data is not None}
    return sum(map(len, constants))
