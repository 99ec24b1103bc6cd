# SPDX-License-Identifier: Apache-2.0
"""Patch embeddings to choose from."""

from __future__ import annotations

import dataclasses

from keras_models.arch import StemLayer
from nas.space.checks import known, made


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
    stem = tuple(
        made(f"{where}.stem[{i}]", StemLayer, known(f"{where}.stem[{i}]", each, StemLayer))
        for i, each in enumerate(fields.get("stem", ()))
    )
    return made(where, Patch, {**fields, "stem": stem})  # type: ignore[no-any-return]
