# SPDX-License-Identifier: Apache-2.0
"""What an image holds of a model that TFLM runs: the file, its memory plan, its strips."""

from __future__ import annotations

import dataclasses

from converter import tflite
from converter.fused_ops import decoded_all
from converter.plan import Plan, PlanError
from converter.plan.device import device_plan
from converter.plan.device_table import BufferPlace, BufferRequest, buffer_requests, encode_table
from converter.plan.layout import Span
from converter.plan.offline import offline_offsets
from converter.plan.strip import Strip, strip_model
from converter.tflite import Graph
from firmware.errors import ModelError

_NOTES_BYTES = 64  # of TFLM's GreedyMemoryPlanner for a buffer, pointers of 32 bits


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A model as TFLM takes it.

    Attributes:
      content: the `.tflite`; of a streamed model the one whose input is a strip of image rows.
      words: the plan's int32 for PlannedMemoryPlanner; () where the model has builtin operators,
        whose scratch only TFLM knows: TFLM plans then, and finds the tensors' places in the file.
      strips: of a streamed model, the rows that each run takes.
      inputs, outputs: where each lies in the arena.
    """

    content: bytes
    words: tuple[int, ...]
    strips: tuple[Strip, ...]
    inputs: tuple[Span, ...]
    outputs: tuple[Span, ...]

    def planning_bytes(self, planned: int) -> int:
        """Bytes beside a plan of so many that TFLM's planner wants while it plans; an upper bound.

        It keeps its notes, some 40 bytes a buffer, in what will be the buffers.
        """
        if self.words:
            return 0
        graph = tflite.parse(self.content).graph
        buffers = len(graph.tensors) + len(graph.operators)
        return max(0, _NOTES_BYTES * (buffers + 1) - planned)


def _placements(requests: tuple[BufferRequest, ...], plan: Plan) -> list[BufferPlace]:
    """Where the converter's plan puts each buffer that TFLM will ask for."""
    spans = []
    for request in requests:
        if request.tensor is not None:
            span = plan.tensors[request.tensor]
        else:
            assert request.operator is not None
            span = plan.scratch[request.operator]
        if span is None:
            raise ModelError("the model's memory plan lacks a buffer; plan it again")
        spans.append(span)
    placements = []
    for index, (request, span) in enumerate(zip(requests, spans, strict=True)):
        overwritten = None
        for other in range(index):
            overlap = span.offset < spans[other].end and spans[other].offset < span.end
            # A scratch buffer never takes over a tensor's bytes; an output may, its input's.
            follows = requests[other].last_use == request.first_use
            if overlap and follows and request.tensor is not None and request.first_use > 0:
                overwritten = other
        placements.append(BufferPlace(0, span.offset, overwritten))
    return placements


def _words(model: bytes, graph: Graph, plan: Plan) -> tuple[int, ...]:
    if None in decoded_all(graph):
        if plan.strip is not None:
            raise PlanError(
                "a streamed model that TFLM runs has fused operators only, and this one has "
                "builtins; plan it without --streamed"
            )
        if offline_offsets(tflite.parse(model)) is None:
            raise PlanError("the file has no OfflineMemoryAllocation for TFLM; plan it again")
        return ()
    if plan.strip is not None:
        return tuple(device_plan(model).words.tolist())
    sizes = {i: span.size_bytes for i, span in enumerate(plan.scratch) if span is not None}
    requests = buffer_requests(graph, sizes)
    encoded = encode_table(model, requests, _placements(requests, plan), [plan.arena_bytes])
    return tuple(encoded.tolist())


def embedded_of(model: bytes, plan: Plan) -> Embedded:
    """What TFLM is given of a planned model.

    Raises:
      PlanError: no place for a tensor, or a streamed image that is one strip.
      TfliteError: a damaged file.
    """
    content, strips = model, tuple[Strip, ...]()
    if plan.strip is not None:
        striped = strip_model(model, plan.strip.offset)
        content, strips = striped.model_bytes, striped.strips
    graph = tflite.parse(content).graph

    def place(tensor: int) -> Span:
        # The only tensor without a place of its own is the streamed image; its strip stands for it.
        span = plan.tensors[tensor] or plan.strip
        if span is None:
            raise PlanError("the model's memory plan lacks an input or output; plan it again")
        return Span(span.offset, graph.tensors[tensor].nbytes)

    return Embedded(
        content,
        _words(model, tflite.parse(model).graph, plan),
        strips,
        tuple(place(tensor) for tensor in graph.inputs),
        tuple(place(tensor) for tensor in graph.outputs),
    )
