# SPDX-License-Identifier: Apache-2.0
"""A text for a board whose model takes one: of bytes, or of sub-words that the board cuts."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.contract import Contract, Stated, contract_of
from converter.evaluate.evaluation import ends_of
from converter.tflite import parse, read_model
from firmware.errors import FirmwareError
from keras_models.datasets.normalization import BYTES
from keras_models.text.pieces import as_square
from tflm_vit.files import naming


@dataclasses.dataclass(frozen=True, eq=False)
class Text:
    """A text that is classified.

    Attributes:
      raw: its bytes.
      steps: what the model makes of it, int8 (height, width, channels).
      contract: of the model.
    """

    raw: bytes
    steps: NDArray[np.int8]
    contract: Contract

    @property
    def name(self) -> str:
        """For people."""
        return self.raw.decode(errors="replace")

    @property
    def cut_on_board(self) -> bool:
        """Whether the board gets the text itself, and no numbers."""
        return self.contract.vocabulary is not None

    def answer(self, best: int) -> str:
        """Name of an output; its number where the file has no names."""
        names = self.contract.class_names
        return names[best] if names else str(best)


def text_by(path: str, text: str, given: Stated) -> Text | None:
    """A text as a model takes it; None without one.

    Args:
      path: of the `.tflite`, "" for none.
      given: by flags.

    Raises:
      FirmwareError: no model, or one that takes no text.
    """
    if not text:
        return None
    if not path:
        raise FirmwareError("--sentence needs --model=FUSED.tflite, which says how it is cut")
    with naming(path):
        content = read_model(path)
        ends, contract = ends_of(content), contract_of(parse(content), given)
    height, width, channels = ends.input_shape
    takes = contract.vocabulary is not None or (contract.normalization == BYTES and channels == 1)
    if not takes or height != width:
        raise FirmwareError(f"{path}: takes no text: leave --sentence out, give --images")
    raw = text.encode()
    cut = as_square if contract.vocabulary is None else contract.vocabulary.square
    return Text(raw, ends.quantize(contract.real(cut(raw, height))), contract)
