# SPDX-License-Identifier: Apache-2.0
"""How an image becomes a network's input, and what its outputs mean."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.datasets.identity import Identity
from keras_models.datasets.normalization import OWN, Normalization
from keras_models.tasks import CLASSIFICATION, Task
from keras_models.text.subwords import TOKEN_BYTES, Vocabulary
from tflm_vit.flags import COLOR_ORDERS

RGB, BGR = COLOR_ORDERS
MAX_NAME_BYTES = 256
# How far an int8 input may end from the values that images become, as a share of their range.
# Calibration on real images comes closer; a network that takes other values does not.
TOLERANCE = 0.2
_INT8 = np.dtype(np.int8)
# Stated values whose range differs from the input's by this factor are a mistake.
_GROSS = 4.0
_ABSURD = 16.0  # and values that flags give by this one


class ContractError(ValueError):
    """Images and a network's input do not go together; the message says what to give."""


@dataclasses.dataclass(frozen=True)
class Contract:
    """What goes in and what comes out.

    Attributes:
      normalization: of bytes, in the order in which the network takes channels.
      color_order: of three channels: RGB, or BGR where the first one is blue.
      class_names: of the outputs, in order; () where they are not known.
      trained_on: the data set; None where it is not known.
      task: what its outputs answer.
      vocabulary: that cuts a text into the network's tokens, of sub-words; None of others.
    """

    normalization: Normalization = OWN
    color_order: str = RGB
    class_names: tuple[str, ...] = ()
    trained_on: Identity | None = None
    task: Task = CLASSIFICATION
    vocabulary: Vocabulary | None = None

    def __post_init__(self) -> None:
        if self.color_order not in COLOR_ORDERS:
            raise ContractError(
                f"color order: got {self.color_order!r}, expected {' or '.join(COLOR_ORDERS)}"
            )

    def real(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Bytes (..., channels), three of them red, green, blue, to what the network takes."""
        if self.color_order == BGR and images.shape[-1] == 3:
            images = images[..., ::-1]
        return self.normalization.apply(images)

    def check(self, channels: int, output: tuple[int, ...]) -> None:
        """ContractError unless it is one for a network.

        Args:
          channels: of its image.
          output: shape of its output, of one image.
        """
        try:
            self.normalization.check_channels(channels)
        except ValueError as error:
            raise ContractError(str(error)) from error
        if self.color_order == BGR and channels != 3:
            raise ContractError(f"color order: got BGR for {channels} channels, expected 3")
        if self.task.dense and len(output) != 4:
            raise ContractError(
                f"task: got {self.task.name} for an output {list(output)}, expected a picture "
                "[1, height, width, values]"
            )
        if self.vocabulary is not None and channels != TOKEN_BYTES:
            raise ContractError(
                f"vocabulary: got one for {channels} channels, expected {TOKEN_BYTES}, the bytes "
                "of a token"
            )
        check_names("labels", self.class_names, self.task, output)


def check_names(where: str, names: Sequence[str], task: Task, output: tuple[int, ...]) -> None:
    """Refuses another number of class names than a network has outputs.

    Args:
      where: they come from, for the message.
      names: () where nothing is known.

    Raises:
      ContractError: one line.
    """
    classes = output[-1] if task.dense and output else math.prod(output)
    if names and len(names) != classes:
        raise ContractError(
            f"{where}: got {len(names)} class names, expected {classes}, one for each output"
        )


def quantized(
    real: NDArray[np.float32], scale: float, zero_point: int, dtype: np.dtype[Any] = _INT8
) -> NDArray[Any]:
    """Real values to integers: nearest, ties away from zero, clipped to the type.

    Of all commands, so that each gives a network the same input for the same image.
    """
    steps = real.astype(np.float64) / scale
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + zero_point
    limits = np.iinfo(dtype)
    clipped: NDArray[Any] = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return clipped


def input_range(scale: float, zero_point: int, low: int, high: int) -> tuple[float, float]:
    """The real values of a quantized input whose integers are low..high."""
    return scale * (low - zero_point), scale * (high - zero_point)


def check_assumed(got: tuple[float, float]) -> None:
    """Refuses to assume `OWN` for an input of another range.

    Args:
      got: the least and the greatest real value that the input can hold.

    Raises:
      ContractError: one line that names the flags to give.
    """
    expected = OWN.ends
    width = expected[1] - expected[0]
    if all(abs(g - e) <= TOLERANCE * width for g, e in zip(got, expected, strict=True)):
        return
    raise ContractError(
        f"the input takes {got[0]:.4g} to {got[1]:.4g}, but u / 127.5 - 1 makes {expected[0]:.4g} "
        f"to {expected[1]:.4g} of a byte u, and nothing says how images become the input: give "
        f"--mean and --std: {_suggestion(got)}"
    )


def check_stated(normalization: Normalization, got: tuple[float, float]) -> None:
    """Refuses what a file states if the input's range is another by far.

    Raises:
      ContractError: one line that names the flags to give.
    """
    if not _near(normalization, got, _GROSS):
        raise ContractError(
            f"the file's metadata says {normalization}, but the input takes {got[0]:.4g} to "
            f"{got[1]:.4g}: give --mean and --std: {_suggestion(got)}"
        )


def check_given(normalization: Normalization, got: tuple[float, float]) -> None:
    """Refuses what flags say if every image would be one end of the input's range, or nothing.

    Raises:
      ContractError: one line that names the flags to give.
    """
    if not _near(normalization, got, _ABSURD):
        raise ContractError(
            f"--mean and --std: got {normalization}, but the input takes {got[0]:.4g} to "
            f"{got[1]:.4g}; expected {_suggestion(got)}"
        )


def _near(normalization: Normalization, got: tuple[float, float], factor: float) -> bool:
    """Whether bytes become numbers of the input's range, up to that factor."""
    low, high = normalization.ends
    ratio = (got[1] - got[0]) / (high - low)
    apart = got[1] <= low or got[0] >= high
    return not apart and 1.0 / factor <= ratio <= factor


def _suggestion(got: tuple[float, float]) -> str:
    for mean, std in ((0.0, 1.0), (0.0, 255.0), (127.5, 127.5)):
        low, high = -mean / std, (255.0 - mean) / std
        near = TOLERANCE * (high - low)
        if abs(got[0] - low) <= near and abs(got[1] - high) <= near:
            return f"--mean={mean:g} --std={std:g} where a byte u becomes {_formula(mean, std)}"
    return "a byte u of an image becomes (u - mean) / std"


def _formula(mean: float, std: float) -> str:
    if mean:
        return f"u / {std:g} - {mean / std:g}"
    return "u, unchanged" if std == 1.0 else f"u / {std:g}"


def clean_names(names: Sequence[str]) -> tuple[str, ...]:
    """Class names for a label file: a line each, of at most `MAX_NAME_BYTES`.

    Raises:
      ContractError: an empty or a longer one.
    """
    cleaned = tuple("".join(c if c.isprintable() else "?" for c in name).strip() for name in names)
    for number, name in enumerate(cleaned):
        size = len(name.encode("utf-8", "replace"))
        if not 0 < size <= MAX_NAME_BYTES:
            raise ContractError(
                f"labels: class {number} has a name of {size} bytes, expected 1 to {MAX_NAME_BYTES}"
            )
    return cleaned
