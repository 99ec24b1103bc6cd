# SPDX-License-Identifier: Apache-2.0
"""How bytes of an image become the real values that a network takes: (u - mean) / std.

The same formula, in steps of a byte, as NormalizationOptions of TFLite Metadata
(metadata_schema.fbs). Networks that are trained here take u / 127.5 - 1, see `OWN`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BYTE_MAX = 255


@dataclasses.dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation in steps of a byte, 0..255.

    Attributes:
      mean, std: one value, or one for each channel in the order that the network takes them;
        rounded to float32, as files hold them.

    Raises:
      ValueError: no value, values that are not finite, or a standard deviation that is not above 0.
    """

    mean: tuple[float, ...] = (127.5,)
    std: tuple[float, ...] = (127.5,)

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not values or not all(math.isfinite(v) and abs(v) <= 1e6 for v in values):
                raise ValueError(f"{name}: got {text_of(values)}, expected finite numbers")
            object.__setattr__(self, name, tuple(float(np.float32(v)) for v in values))
        if min(self.std) < 1e-6:
            raise ValueError(f"std: got {text_of(self.std)}, expected numbers above 0")
        if 1 not in (len(self.mean), len(self.std)) and len(self.mean) != len(self.std):
            raise ValueError(
                f"mean and std: got {len(self.mean)} and {len(self.std)} values, expected as many"
            )

    @classmethod
    def told(cls, mean: Sequence[float], std: Sequence[float]) -> Normalization:
        """What somebody says it is.

        Raises:
          ValueError: also where they are in steps of 0..1, as PyTorch's transforms have them.
        """
        normalization = cls(tuple(mean), tuple(std))
        if max(normalization.std) < 1.0:
            in_bytes = (
                text_of(tuple(round(255.0 * v, 3) for v in values)) for values in (mean, std)
            )
            raise ValueError(
                "std: got {}, expected steps of a byte, 0..255; of numbers from 0 to 1 they are "
                "--mean={} --std={}".format(text_of(normalization.std), *in_bytes)
            )
        return normalization

    def check_channels(self, channels: int) -> None:
        """ValueError unless there is one value, or one for each of the channels."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise ValueError(
                    f"{name}: got {len(values)} values, expected 1 or {channels}, one for each "
                    "channel of the network's input"
                )

    def apply(self, images: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Bytes (..., channels), 0..255, to float32 of the same shape."""
        std = np.asarray(self.std, np.float32)
        # Not (u - mean) / std: u / 127.5 - 1 is rounded in this order where networks are trained.
        offset = np.asarray(self.mean, np.float32) / std
        found: NDArray[np.float32] = np.asarray(images, np.float32) / std - offset
        return found

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value that a byte can become, over all channels."""
        both = self.apply(np.asarray([[0], [BYTE_MAX]], np.float32))
        return float(both.min()), float(both.max())

    def __str__(self) -> str:
        low, high = self.ends
        shown = f"mean {text_of(self.mean)}, std {text_of(self.std)}"
        return f"{shown} (bytes become {low:.4g} to {high:.4g})"


def text_of(values: tuple[float, ...]) -> str:
    """Numbers as flags take them."""
    return ",".join(np.format_float_positional(np.float32(v), trim="-") for v in values)


OWN = Normalization()  # MCUFormer's scaling, which keras_models.train uses for pictures and sounds
BYTES = Normalization((128.0,), (1.0,))  # texts: whole numbers, which int8 holds as they are
