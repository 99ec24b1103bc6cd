# SPDX-License-Identifier: Apache-2.0
"""Residual and separable blocks of leading channels, with batch statistics as values.

A mean and a variance belong to the sub-network, not to the supernet: they are given, or those of
the batch, and handed back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras import ops

from keras_models.stages import Convolution
from nas.supernet.four_bits import where_of_4_bits
from nas.supernet.selection import Mask, Selection

BATCH_NORM_EPSILON = 1e-3  # Keras' default
Statistics = dict[str, Any]  # mean and variance [2, channels] of each batch normalization


@dataclasses.dataclass(frozen=True)
class ConvBlock:
    """One block.

    Attributes:
      select, table: of the supernet.
      name: before the names of its layers.
      layers: at their widest.
      masks: of the channels of its input, and of its output.
      given: statistics; None: those of the batch.
      four_bits: a one where the weights have 4 bits, depthwise ones left out; None: nowhere.
    """

    select: Selection
    table: Mapping[str, Any]
    name: str
    layers: tuple[Convolution, ...]
    masks: tuple[Mask, Mask]
    given: Statistics | None
    four_bits: Mask = None

    @property
    def names(self) -> list[str]:
        """Of its batch normalizations."""
        return [f"{self.name}_{layer.name}" for layer in self.layers]

    def __call__(self, x: Any) -> tuple[Any, ...]:
        """Its output, and the statistics [2, channels] of each batch normalization; zeros behind
        the sub-network's channels."""
        found: dict[str, Any] = {}
        run = self._separable if any(layer.depthwise for layer in self.layers) else self._residual
        y = run(x, found)
        return y, *(found[name] for name in self.names)

    def left_out(self, x: Any) -> tuple[Any, ...]:
        """What stands for it in a shallower sub-network."""
        return ops.convert_to_tensor(x), *(ops.zeros((2, layer.outputs)) for layer in self.layers)

    def _residual(self, x: Any, found: dict[str, Any]) -> Any:
        source, mask = self.masks
        *short, a, b = self.layers
        other = x
        for layer in short:
            other = self._normed(self._conv(x, layer, source, mask), layer, mask, found)
        y = ops.relu(self._normed(self._conv(x, a, source, mask), a, mask, found))
        y = self._normed(self._conv(y, b, mask, mask), b, mask, found)
        return ops.relu(other + y)

    def _separable(self, x: Any, found: dict[str, Any]) -> Any:
        source, mask = self.masks
        depth, point = self.layers
        kernel = self.select.lead(self._kernel(depth), None, None, source, None)
        x = ops.depthwise_conv(x, kernel, strides=depth.stride, padding="same")
        x = ops.relu(self._normed(x, depth, source, found))
        return ops.relu(self._normed(self._conv(x, point, source, mask), point, mask, found))

    def _kernel(self, layer: Convolution) -> Any:
        return self.table[f"{self.name}_{layer.name}_conv/kernel"]

    def _conv(self, x: Any, layer: Convolution, source: Mask, mask: Mask) -> Any:
        kernel = self.select.lead(self._kernel(layer), None, None, source, mask)
        if self.four_bits is not None:
            used = self.select.keep(ops.swapaxes(kernel, 2, 3), source)
            kernel = where_of_4_bits(ops.swapaxes(used, 2, 3), (0, 1, 2), self.four_bits)
        return ops.conv(x, kernel, strides=layer.stride, padding="same")

    def _normed(self, x: Any, layer: Convolution, mask: Mask, found: dict[str, Any]) -> Any:
        name, lead = f"{self.name}_{layer.name}", self.select.lead
        if self.given is None:
            mean, variance = ops.moments(x, axes=(0, 1, 2))
            both = self.select.keep(ops.stack([mean, variance]), mask)
            missing = layer.outputs - self.select.size(mask, layer.outputs)
            found[name] = ops.reshape(ops.pad(both, [[0, 0], [0, missing]]), (2, layer.outputs))
        else:
            found[name] = self.given[name]
            mean, variance = (lead(self.given[name][i], mask) for i in range(2))
        scale = ops.rsqrt(variance + BATCH_NORM_EPSILON) * lead(
            self.table[f"{name}_bn/gamma"], mask
        )
        x = (x - mean) * scale + lead(self.table[f"{name}_bn/beta"], mask)
        return self.select.keep(x, mask)
