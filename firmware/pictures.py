# SPDX-License-Identifier: Apache-2.0
"""Outputs that are pictures, drawn beside the images that they answer."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.contract import Stated, stated_by
from converter.evaluate.evaluation import ends_of
from converter.tflite import parse
from firmware.errors import FirmwareError
from firmware.model import named_model
from keras_models.tasks import Task
from keras_models.tasks.box_rows import EDGES
from keras_models.tasks.boxes import LEAST_SHOWN, shares

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
    if task.drawn is None and task.boxes is None:
        raise FirmwareError(
            f"--png draws outputs that are pictures, {path} is for {task.name}: leave it out"
        )


def answers_of(model: bytes, outputs: NDArray[np.int8]) -> tuple[Stated, NDArray[np.float64]]:
    """What a file says, and its outputs (n, values) as its task takes them, in real numbers."""
    stated, ends = stated_by(parse(model)), ends_of(model)
    return stated, ends.shaped(ends.dequantize(outputs), stated.task)


def picture_of(path: str, images: NDArray[np.int8], outputs: NDArray[np.int8]) -> bytes:
    """A PNG of the first images in a row, and below them what the board said.

    Args:
      path: of the `.tflite`.
      images: (n, h, w, channels) as the board took them.
      outputs: (n, values) of the board.
    """
    from matplotlib import pyplot

    with named_model(path) as model:
        stated, answers = answers_of(model, outputs[:MOST])
    count, rows = len(answers), 2 if stated.task.boxes is None else 1
    figure, axes = pyplot.subplots(
        rows, count, figsize=(1.6 * count + 1, 1.7 * rows), squeeze=False, layout="constrained"
    )
    for column in range(count):
        seen = (images[column].astype(np.int16) + 128).astype(np.uint8)
        axes[0, column].imshow(seen if seen.shape[-1] == 3 else seen[..., 0], cmap="gray")
    if stated.task.boxes is None:
        _draw_maps(figure, axes[1], stated.task, answers)
    else:
        for axis, image, answer in zip(axes[0], images, answers, strict=False):
            _draw_boxes(axis, image.shape[:2], stated, answer)
    for each in axes.flat:
        each.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return buffer.getvalue()


def _draw_maps(figure: Any, axes: Any, task: Task, answers: NDArray[np.float64]) -> None:
    """A number for each pixel, as a color."""
    assert task.drawn is not None  # expect_picture refused it
    numbers = task.drawn(answers)
    for axis, each in zip(axes, numbers, strict=True):
        shown = axis.imshow(each, vmin=numbers.min(), vmax=numbers.max())
    figure.colorbar(shown, ax=axes.tolist(), label=f"{task.name}, {task.unit}")


def _draw_boxes(
    axis: Any, sides: tuple[int, ...], stated: Stated, answer: NDArray[np.float64]
) -> None:
    """A frame around each thing on its image, with the name of its class."""
    from matplotlib.patches import Rectangle

    assert stated.task.boxes is not None
    found = stated.task.boxes(answer, LEAST_SHOWN)
    names = stated.class_names[len(EDGES) :]
    ends = np.array([sides[1], sides[0], sides[1], sides[0]])
    for box, edges in zip(found, shares(found, *answer.shape[:2]) * ends - 0.5, strict=True):
        left, top, right, bottom = (float(edge) for edge in edges)
        axis.add_patch(
            Rectangle((left, top), right - left, bottom - top, fill=False, color="yellow")
        )
        name = names[box.label] if names else str(box.label)
        label = {"facecolor": "yellow", "edgecolor": "none", "pad": 0.6}
        axis.text(left, top, name, fontsize=6, color="black", bbox=label)
