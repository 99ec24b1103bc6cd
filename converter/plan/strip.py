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
from tflm_custom_ops.ops import OPERATORS, Streaming, operator_of


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
    streaming = _streaming(graph)
    height, width, channels = streaming.image
    if streaming.strip_rows >= height:
        raise PlanError(
            f"strip model: the image of {height} rows is one strip of {streaming.strip_rows}"
        )
    image = graph.inputs[0]
    tensors = list(graph.tensors)
    shape = (1, streaming.strip_rows, width, channels)
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
    rows = streaming.strip_rows
    strips = tuple(Strip(start, min(rows, height - start)) for start in streaming.starts)
    return StripModel(content, strips, (1, height, width, channels))


def _streaming(graph: Graph) -> Streaming:
    """How the first operator, the only one that reads the input, takes it in strips."""
    readers = [op for op in graph.operators if set(graph.inputs) & set(op.inputs)]
    if len(graph.inputs) == 1 and len(readers) == 1 and readers[0] is graph.operators[0]:
        op = decoded(graph, readers[0])
        streaming = None if op is None else operator_of(op).streaming
        if streaming is not None:
            return streaming
    names = " or ".join(o.CODE for o in OPERATORS if o.STREAMS)
    raise PlanError(f"strip model: expected a fused model whose only input goes to a first {names}")
