# SPDX-License-Identifier: Apache-2.0
"""Outputs that are pictures, drawn beside the images that they answer."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.contract import stated_by
from converter.evaluate.evaluation import ends_of
from converter.tflite import parse
from firmware.errors import FirmwareError
from firmware.model import named_model
from keras_models.tasks import Task

MOST = 8  # images in a drawing


def expect_picture(path: str) -> None:
    """Refuses --png for a model whose outputs are no pictures.

    Raises:
      FirmwareError: no model, or one of another task.
    """
    if not path:
        raise FirmwareError("--png needs --model=FUSED.tflite, which says what the outputs mean")
    with named_model(path) as model:
        task = stated_by(parse(model)).task
    if task.drawn is None:
        raise FirmwareError(
            f"--png draws outputs that are pictures, {path} is for {task.name}: leave it out"
        )


def numbers_of(model: bytes, outputs: NDArray[np.int8]) -> tuple[Task, NDArray[Any]]:
    """A file's task, and what its outputs (n, values) say: one number a pixel (n, h, w)."""
    task, ends = stated_by(parse(model)).task, ends_of(model)
    assert task.drawn is not None  # expect_picture refused it
    return task, task.drawn(ends.shaped(ends.dequantize(outputs), task))


def picture_of(path: str, images: NDArray[np.int8], outputs: NDArray[np.int8]) -> bytes:
    """A PNG of the first images in a row, and below them what the board said.

    Args:
      path: of the `.tflite`.
      images: (n, h, w, channels) as the board took them.
      outputs: (n, values) of the board.
    """
    from matplotlib import pyplot

    with named_model(path) as model:
        task, numbers = numbers_of(model, outputs[:MOST])
    count = len(numbers)
    figure, axes = pyplot.subplots(
        2, count, figsize=(1.6 * count + 1, 3.4), squeeze=False, layout="constrained"
    )
    for column in range(count):
        seen = (images[column].astype(np.int16) + 128).astype(np.uint8)
        axes[0, column].imshow(seen if seen.shape[-1] == 3 else seen[..., 0], cmap="gray")
        shown = axes[1, column].imshow(numbers[column], vmin=numbers.min(), vmax=numbers.max())
    for each in axes.flat:
        each.set_axis_off()
    figure.colorbar(shown, ax=axes[1, :].tolist(), label=f"{task.name}, {task.unit}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return buffer.getvalue()
