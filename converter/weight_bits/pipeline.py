# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits for the layers of a plain file."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence

from converter.fuse.gate.probes import Feeds
from converter.fuse.gate.threads import one_blas_thread
from converter.tflite import Graph, GraphView, Model
from converter.weight_bits import rounding
from converter.weight_bits.choice import LayerChoice, cheapest
from converter.weight_bits.error import Outputs, decibels
from converter.weight_bits.layers import WeightLayer, layers_of
from converter.weight_bits.moments import Moments, moments_of
from converter.weight_bits.rewrite import with_weights
from converter.weight_bits.rounding import Rounded


class RoundingMethod(enum.Enum):
    """How weights are rounded to 4 bits.

    NEAREST takes each weight by itself, INPUTS (GPTQ) lessens the error of the layer's outputs,
    whose mean stays.
    """

    NEAREST = "nearest"
    INPUTS = "inputs"


ERROR_PROBES = 4  # that the outputs' error is measured on; layer by layer


@dataclasses.dataclass(frozen=True)
class WeightBitsReport:
    """What was rounded, and what it costs.

    Attributes:
      rounding: the method.
      layers: every layer that could have 4 bits, in order.
      sqnr_db: of the float network's outputs with the new weights against those with 8 bits.
      saved_bytes: of flash.
    """

    rounding: str
    layers: tuple[LayerChoice, ...]
    sqnr_db: float
    saved_bytes: int

    def table(self) -> str:
        """Text for people."""
        chosen = [layer for layer in self.layers if layer.bits == 4]
        lines = [
            f"weights of 4 bits ({self.rounding}): {len(chosen)} of {len(self.layers)} layers, "
            f"{self.saved_bytes:,} B saved, outputs {self.sqnr_db:.1f} dB from those of 8 bits"
        ]
        if any(layer.noise is not None for layer in self.layers):
            lines.append(f"{'layer':48} {'weights':>9} {'bits':>4} {'alone':>8}")
            lines += [
                f"{layer.name[-48:]:48} {layer.weights:9,} {layer.bits:4} "
                f"{decibels(layer.noise or 0.0):5.1f} dB"
                for layer in self.layers
            ]
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True, eq=False)
class RoundedModel:
    """A plain model with weights of 4 bits, and how it came about."""

    model: Model
    report: WeightBitsReport


def round_weights(
    model: Model,
    ops: Sequence[int],
    feeds: Feeds,
    probes: int,
    method: RoundingMethod,
    bytes_over: int | None = None,
) -> RoundedModel:
    """Rounds weights of layers to 4 bits.

    Args:
      model: a plain int8 network.
      ops: operators that may have them.
      feeds: its inputs.
      probes: how many of them to learn the layers' inputs from.
      method: of rounding.
      bytes_over: flash to save, by the layers that can do it with the least error; None: all.

    Raises:
      NoMatchError: the network cannot be evaluated here.
      TfliteError: a bias does not fit.
    """
    graph = model.graph
    layers = layers_of(graph, ops)
    with one_blas_thread():
        moments: Mapping[int, Moments] = {}
        if method is RoundingMethod.INPUTS:
            moments = moments_of(GraphView(graph), layers, feeds, learnt_from(probes))
        rounded = {layer.op: _rounded(layer, method, moments.get(layer.op)) for layer in layers}
        outputs = Outputs(graph, feeds, min(probes, ERROR_PROBES))
        noise: list[float | None] = [None] * len(layers)
        chosen = list(range(len(layers)))
        if bytes_over is not None:
            alone = [_alone(graph, layer, rounded, moments, outputs) for layer in layers]
            noise, chosen = [*alone], cheapest(layers, alone, bytes_over)
        kept = {layers[i].op: rounded[layers[i].op] for i in chosen}
        new = with_weights(graph, layers, kept, moments)
        db = decibels(outputs.noise(new)) if chosen else float("inf")
    choices = tuple(
        LayerChoice(layer.name, layer.size, 4 if layer.op in kept else 8, noise[i])
        for i, layer in enumerate(layers)
    )
    saved = sum(layers[i].saved_bytes for i in chosen)
    report = WeightBitsReport(method.value, choices, db, saved)
    return RoundedModel(dataclasses.replace(model, graph=new), report)


def learnt_from(probes: int) -> range:
    """The probes that moments come from: others than those of the error, where there are enough."""
    return range(ERROR_PROBES if probes >= 2 * ERROR_PROBES else 0, probes)


def _rounded(layer: WeightLayer, method: RoundingMethod, moments: Moments | None) -> Rounded:
    if method is RoundingMethod.NEAREST or moments is None:
        return rounding.nearest(layer.values)
    return rounding.against_inputs(layer.values, moments.covariance)


def _alone(
    graph: Graph,
    layer: WeightLayer,
    rounded: Mapping[int, Rounded],
    moments: Mapping[int, Moments],
    outputs: Outputs,
) -> float:
    """What 4 bits in one layer add."""
    changed = with_weights(graph, [layer], {layer.op: rounded[layer.op]}, moments)
    return outputs.noise(changed, layer.op)
