# SPDX-License-Identifier: Apache-2.0
"""Patch embeddings to choose from."""

from __future__ import annotations

import dataclasses

from keras_models.arch import StemLayer
from nas.space.checks import fail, known, made

MAX_SIZE = 4096


@dataclasses.dataclass(frozen=True)
class Patch:
    """How an image becomes tokens: patches of `size` pixels behind the convolutions of `stem`."""

    size: int
    stem: tuple[StemLayer, ...] = ()

    def describe(self) -> str:
        """For example "16" or "2 behind a stem of 3 convolutions"."""
        if not self.stem:
            return str(self.size)
        return f"{self.size} behind a stem of {len(self.stem)} convolutions"

    def input_side(self, image_size: int) -> int:
        """Side of what the patch embedding sees, without padding."""
        for layer in self.stem:
            image_size //= layer.stride
        return image_size


def parse_patch(where: str, data: object) -> Patch:
    """A `Patch` from plain data."""
    fields = known(where, data, Patch)
    layers = fields.get("stem", ())
    if not isinstance(layers, tuple):
        fail(f"{where}.stem", layers, "a list of convolutions")
    stem = tuple(_stem_layer(f"{where}.stem[{i}]", each) for i, each in enumerate(layers))
    patch: Patch = made(where, Patch, {**fields, "stem": stem})
    if type(patch.size) is not int or not 1 <= patch.size <= MAX_SIZE:
        fail(f"{where}.size", patch.size, f"an integer from 1 to {MAX_SIZE}")
    return patch


def _stem_layer(where: str, data: object) -> StemLayer:
    layer: StemLayer = made(where, StemLayer, known(where, data, StemLayer))
    if type(layer.stride) is not int or layer.stride < 1:
        fail(f"{where}.stride", layer.stride, "a positive integer")
    return layer
