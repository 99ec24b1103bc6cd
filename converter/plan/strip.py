# SPDX-License-Identifier: Apache-2.0
"""A fused model for TFLM whose image never exists as a whole: the input is a strip of rows.

The patch embedding takes one row of patches a run and ends the run, until the last one, which
runs the rest of the model. The arena then holds a strip instead of the image.
"""

from __future__ import annotations

import dataclasses

from converter.fused_ops import decoded
from converter.plan.metadata import without_plan
from converter.plan.offline import NOT_PLANNED, offline_offsets, with_offline
from converter.plan.problem import PlanError
from converter.tflite import Graph, parse, serialize
from tflm_custom_ops import options


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
      TfliteError: no such file, or malformed options.
      PlanError: not such a model, or its image is one strip.
    """
    model = parse(data)
    graph = model.graph
    op = _patch_embed(graph)
    if op.patch_height >= op.image_height:
        raise PlanError(
            f"strip model: the image of {op.image_height} rows is one strip of {op.patch_height}"
        )
    image = graph.inputs[0]
    tensors = list(graph.tensors)
    shape = (1, op.patch_height, op.image_width, op.channels)
    tensors[image] = dataclasses.replace(tensors[image], shape=shape)
    planned = offline_offsets(model)
    if planned is not None:
        offsets = list(planned)
        offsets[image] = NOT_PLANNED if strip_offset is None else strip_offset
        planned = tuple(offsets)
    # The compiled runtime's plan names the whole image: of no use here.
    changed = dataclasses.replace(
        without_plan(model), graph=dataclasses.replace(graph, tensors=tuple(tensors))
    )
    content = serialize(with_offline(changed, planned))
    starts = [max(0, s * op.stride_y - op.pad_top) for s in range(op.grid_height)]
    strips = tuple(Strip(row, min(op.patch_height, op.image_height - row)) for row in starts)
    return StripModel(content, strips, (1, op.image_height, op.image_width, op.channels))


def _patch_embed(graph: Graph) -> options.PatchEmbed:
    readers = [op for op in graph.operators if set(graph.inputs) & set(op.inputs)]
    if len(graph.inputs) == 1 and len(readers) == 1 and readers[0] is graph.operators[0]:
        op = decoded(graph, readers[0])
        if isinstance(op, options.PatchEmbed):
            return op
    raise PlanError(
        "strip model: expected a fused model whose only input goes to a first VitPatchEmbed"
    )
