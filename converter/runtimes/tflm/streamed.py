# SPDX-License-Identifier: Apache-2.0
"""Runs a model that takes its image in strips (`converter.plan.strip`) in the TFLM wheel."""

from __future__ import annotations

import numpy as np

from converter.plan.strip import StripModel
from converter.runtimes.interface import Array
from converter.runtimes.tflm.errors import TflmInvokeError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.runtimes.tflm.library import OperatorLibrary


class StripInterpreter:
    """Runs a :class:`StripModel`, strip by strip."""

    def __init__(
        self,
        model: StripModel,
        arena_bytes: int | None = None,
        *,
        library: OperatorLibrary | None = None,
    ) -> None:
        """Arguments and errors as those of TflmInterpreter."""
        self.interpreter = TflmInterpreter(model.model_bytes, arena_bytes, library=library)
        self._strips = model.strips
        self._image_shape = model.image_shape

    def invoke(self, image: Array) -> Array:
        """Pushes a whole image, as a camera would deliver it, and returns the first output.

        Args:
          image: the model's quantized image, ``[1, height, width, channels]``.

        Raises:
          TflmInvokeError: wrong image, or an operator failed.
        """
        details = self.interpreter.inputs[0]
        if image.shape != self._image_shape or image.dtype != details.dtype:
            raise TflmInvokeError(
                f"image: got {image.dtype} {list(image.shape)}, expected {details.dtype} "
                f"{list(self._image_shape)}"
            )
        self.interpreter.reset()
        strip = np.zeros(details.shape, details.dtype)
        for number, part in enumerate(self._strips):
            strip[:, : part.rows] = image[:, part.first_row : part.first_row + part.rows]
            outputs = self.interpreter.invoke_part(strip)
            if (outputs is None) != (number < len(self._strips) - 1):
                raise TflmInvokeError(
                    f"strip {number} of {len(self._strips)}: the model "
                    f"{'wants more' if outputs is None else 'ended early'}"
                )
        assert outputs is not None
        return outputs[0]
