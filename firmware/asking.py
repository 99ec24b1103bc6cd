# SPDX-License-Identifier: Apache-2.0
"""A question about images, for a board whose model takes both (the task of questions)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converter.contract import Contract, Stated, contract_of, quantized, stated_by
from converter.evaluate.evaluation import ModelEnds, QuestionEnd, ends_of
from converter.tflite import parse, read_model
from firmware.errors import FirmwareError
from firmware.model_info import ModelInfo
from keras_models.tasks import Task
from tflm_vit.files import naming

Pixels = NDArray[np.uint8] | NDArray[np.int8]


@dataclasses.dataclass(frozen=True, eq=False)
class Asked:
    """What a model is asked about every image.

    Attributes:
      ends: of the model.
      contract: how bytes become its inputs, and the names of answers.
      code: the question, bytes.
    """

    ends: ModelEnds
    contract: Contract
    code: NDArray[np.uint8]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.ends.input_shape
        return height, width, channels

    def stacks(self, pixels: Sequence[Pixels]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Images (n, height, width, channels) and codes (n, bytes) as the model takes them; images
        that are int8 pass unchanged."""
        images = np.stack([self._steps(each) for each in pixels])
        end = self._question
        code = quantized(self.contract.real(self.code), end.scale, end.zero_point)
        return images, np.repeat(code[None], len(images), axis=0)

    def _steps(self, pixels: Pixels) -> NDArray[np.int8]:
        if pixels.dtype == np.int8:
            return pixels.astype(np.int8)
        return self.ends.quantize(self.contract.real(pixels.astype(np.uint8)))

    @property
    def _question(self) -> QuestionEnd:
        assert self.ends.question is not None  # asked_by
        return self.ends.question

    def answer(self, best: int) -> str:
        """Name of an output; its number where the file has no names."""
        names = self.contract.class_names
        return names[best] if names else str(best)


def rows_of(stacks: tuple[NDArray[np.int8], ...], model: ModelInfo) -> NDArray[np.int8]:
    """Inputs (n, rows, bytes of a row) in the pieces that a board takes, one input after the other.

    Raises:
      FirmwareError: the board's model takes another number of bytes.
    """
    flat = np.concatenate([stack.reshape(len(stack), -1) for stack in stacks], axis=1)
    if flat.shape[1] != model.input_bytes:
        raise FirmwareError(
            f"the board's model takes {model.input_bytes} bytes, --model {flat.shape[1]}: give the "
            "file that the board's image was made from"
        )
    return flat.reshape(len(flat), model.image_height, model.image_width)


def asked_by(path: str, text: str, given: Stated) -> Asked | None:
    """What a model is asked; None of one that takes images alone.

    Args:
      path: of the `.tflite`, "" for none.
      text: the question, "" for none.
      given: by flags.

    Raises:
      FirmwareError: a question without a model that takes one, or such a model without a question,
        or one that nobody can ask.
    """
    if not path:
        if text:
            raise FirmwareError("--question needs --model=FUSED.tflite, which says how it is coded")
        return None
    with naming(path):
        content = read_model(path)
        model = parse(content)
        task: Task = stated_by(model).task
        if task.asked is None:
            if text:
                raise FirmwareError(f"{path} is for {task.name}: leave --question out")
            return None
        if not text:
            raise FirmwareError(f"{path} answers questions: give --question")
        ends, contract = ends_of(content), contract_of(model, given)
    try:
        code = task.asked(text)
    except ValueError as error:
        raise FirmwareError(f"--{error}") from error
    if ends.question is None or ends.question.values != code.size:
        raise FirmwareError(f"{path}: takes no code of {code.size} bytes; make the file again")
    return Asked(ends, contract, code)
