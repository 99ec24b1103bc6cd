# SPDX-License-Identifier: Apache-2.0
"""A fused model in TFLM whose image never exists as a whole: the input is a strip of rows.

The patch embedding takes one row of patches a run and ends the run, until the last one, which
runs the rest of the model. The arena then holds a strip instead of the image.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from converter.runtimes.tflm import model_file
from converter.runtimes.tflm.errors import TflmInvokeError, TflmModelError
from converter.runtimes.tflm.interpreter import Array, OperatorLibrary, TflmInterpreter
from tflm_custom_ops import options

_COMPILED_PLAN = (b"VitPlan", "VitPlan")  # names the whole image; of no use to a strip model


@dataclasses.dataclass(frozen=True)
class Strip:
    """Image rows ``[first_row, first_row + rows)`` that one run takes."""

    first_row: int
    rows: int


@dataclasses.dataclass(frozen=True)
class StripModel:
    """A model with a strip as input.

    Attributes:
      model_bytes: the ``.tflite``; its input is ``[1, patch_height, width, channels]``.
      strips: what each run is given, in order. A strip that ends at the image's edge may have
        fewer rows than the input; the input's other rows are not read.
      image_shape: of the whole image, batch included.
    """

    model_bytes: bytes
    strips: tuple[Strip, ...]
    image_shape: tuple[int, ...]


def strip_model(data: bytes, strip_offset: int | None = None) -> StripModel:
    """Rewrites a fused model to take its image in strips.

    Args:
      data: a fused ``.tflite`` that starts with ``VitPatchEmbed`` on its only input.
      strip_offset: where the strip goes in the arena, a multiple of 16 bytes; None leaves it to
        TFLM. The offsets of all other tensors are kept.

    Raises:
      TflmModelError: not such a model, or its image is one strip.
    """
    model = model_file.load_model(data)
    model_file.check_model(model)
    graph = model.subgraphs[0]
    op = _patch_embed(model, graph)
    if op.patch_height >= op.image_height:
        raise TflmModelError(
            f"strip model: the image of {op.image_height} rows is one strip of {op.patch_height}"
        )
    graph.tensors[graph.inputs[0]].shape = np.array(
        [1, op.patch_height, op.image_width, op.channels], np.int32
    )
    model.metadata = [m for m in model.metadata or [] if m.name not in _COMPILED_PLAN]
    for item in model.metadata:
        if item.name in (model_file.OFFLINE_PLAN, model_file.OFFLINE_PLAN.decode()):
            words = np.frombuffer(bytes(model.buffers[item.buffer].data), np.int32).copy()
            words[3 + graph.inputs[0]] = -1 if strip_offset is None else strip_offset
            model.buffers[item.buffer].data = words.view(np.uint8)
    starts = [max(0, s * op.stride_y - op.pad_top) for s in range(op.grid_height)]
    strips = tuple(Strip(row, min(op.patch_height, op.image_height - row)) for row in starts)
    shape = (1, op.image_height, op.image_width, op.channels)
    return StripModel(model_file.pack_model(model), strips, shape)


def _patch_embed(model: Any, graph: Any) -> options.PatchEmbed:
    readers = [op for op in graph.operators or [] if graph.inputs[0] in op.inputs]
    if len(graph.inputs) == 1 and len(readers) == 1 and readers[0] is graph.operators[0]:
        name = model.operatorCodes[readers[0].opcodeIndex].customCode
        if name in ("VitPatchEmbed", b"VitPatchEmbed"):
            blob = model.buffers[graph.tensors[readers[0].inputs[1]].buffer].data
            try:
                op = options.decode(bytes(readers[0].customOptions), bytes(blob))
            except options.OptionsError as error:
                raise TflmModelError(f"strip model: VitPatchEmbed: {error}") from error
            if isinstance(op, options.PatchEmbed):
                return op
    raise TflmModelError(
        "strip model: expected a fused model whose only input goes to a first VitPatchEmbed"
    )


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
