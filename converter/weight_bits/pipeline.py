# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits for the layers of a plain file."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Iterable, Mapping, Sequence

from converter.fuse.gate.probes import Feeds
from converter.fuse.gate.threads import one_blas_thread
from converter.tflite import Graph, Model
from converter.weight_bits import rounding
from converter.weight_bits.choice import LayerChoice
from converter.weight_bits.error import Outputs, decibels
from converter.weight_bits.layers import WeightLayer, layers_of
from converter.weight_bits.moments import Moments
from converter.weight_bits.rewrite import with_weights
from converter.weight_bits.rounding import Rounded
from converter.weight_bits.walk import SideBySide, moments_of


class RoundingMethod(enum.Enum):
    """How weights are rounded to 4 bits.

    NEAREST takes each weight by itself. INPUTS (GPTQ) lessens the error of each layer's outputs on
    what it reads in the float network, and keeps their mean. NETWORK does so layer after layer,
    each on what those before it, rounded already, give it, towards what the float network has.
    """

    NEAREST = "nearest"
    INPUTS = "inputs"
    NETWORK = "network"


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

    @property
    def small_layers(self) -> tuple[str, ...]:
        """Names of those with 4 bits."""
        return tuple(layer.name for layer in self.layers if layer.bits == 4)

    def table(self) -> str:
        """Text for people."""
        small = len(self.small_layers)
        lines = [
            f"weights of 4 bits ({self.rounding}): {small} of {len(self.layers)} layers, "
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


class WeightRounding:
    """Rounds weights of layers of a network to 4 bits.

    Args:
      model: a plain int8 network.
      ops: operators that may have them.
      feeds: its inputs.
      probes: how many of them to learn the layers' inputs from.
      method: of rounding.
    """

    def __init__(
        self, model: Model, ops: Iterable[int], feeds: Feeds, probes: int, method: RoundingMethod
    ) -> None:
        self._model, self._feeds, self._method = model, feeds, method
        self._probes = learnt_from(probes)
        self._error_probes = min(probes, ERROR_PROBES)
        self.layers = layers_of(model.graph, ops)
        self._noise: list[float] | None = None

    @functools.cached_property
    def _outputs(self) -> Outputs:
        return Outputs(self._model.graph, self._feeds, self._error_probes)

    @functools.cached_property
    def _by_itself(self) -> Mapping[int, Rounded]:
        """Every layer, as if the others stayed as they are; by operator."""
        moments: Mapping[int, Moments] = {}
        if self._method is not RoundingMethod.NEAREST:
            moments = moments_of(self._model.graph, self.layers, self._feeds, self._probes)
        return {x.op: _rounded(x, moments.get(x.op)) for x in self.layers}

    def noise(self) -> Sequence[float]:
        """What 4 bits in each layer alone add to the outputs, over their energy.

        Raises:
          NoMatchError: the network cannot be evaluated here.
          TfliteError: a bias does not fit.
        """
        if self._noise is None:
            with one_blas_thread():
                self._noise = [self._alone(layer) for layer in self.layers]
        return self._noise

    def _alone(self, layer: WeightLayer) -> float:
        changed = with_weights(self._model.graph, [layer], self._by_itself)
        return self._outputs.noise(changed, layer.op)

    def sizes(self, chosen: Sequence[int]) -> Model:
        """The network with 4 bits in those layers, rounded anyhow: what decides its bytes."""
        layers = [self.layers[i] for i in chosen]
        rounded = {layer.op: rounding.nearest(layer.values) for layer in layers}
        graph = with_weights(self._model.graph, layers, rounded)
        return dataclasses.replace(self._model, graph=graph)

    def rounded(self, chosen: Sequence[int] | None = None) -> RoundedModel:
        """The network with 4 bits in those layers, all by default; raises as `noise`."""
        indices = list(range(len(self.layers)) if chosen is None else chosen)
        layers = [self.layers[i] for i in indices]
        with one_blas_thread():
            if self._method is RoundingMethod.NETWORK:
                graph = self._in_turn(layers)
            else:
                graph = with_weights(self._model.graph, layers, self._by_itself)
            db = decibels(self._outputs.noise(graph)) if layers else float("inf")
        choices = tuple(
            LayerChoice(
                layer.name,
                layer.size,
                4 if i in indices else 8,
                None if self._noise is None else self._noise[i],
            )
            for i, layer in enumerate(self.layers)
        )
        saved = sum(layer.saved_bytes for layer in layers)
        report = WeightBitsReport(self._method.value, choices, db, saved)
        return RoundedModel(dataclasses.replace(self._model, graph=graph), report)

    def _in_turn(self, layers: Sequence[WeightLayer]) -> Graph:
        graph = self._model.graph
        walk = SideBySide(graph, self._feeds, self._probes)
        for layer in layers:
            rounded = {layer.op: _rounded(layer, walk.moments(layer, graph))}
            graph = with_weights(graph, [layer], rounded)
        return graph


def learnt_from(probes: int) -> range:
    """The probes that moments come from: others than those of the error, where there are enough."""
    return range(ERROR_PROBES if probes >= 2 * ERROR_PROBES else 0, probes)


def _rounded(layer: WeightLayer, moments: Moments | None) -> Rounded:
    """To the nearest, where it is not known what the layer reads."""
    if moments is None or not moments.count:
        return rounding.nearest(layer.values)
    return rounding.against_inputs(layer.values, moments)
