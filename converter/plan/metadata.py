# SPDX-License-Identifier: Apache-2.0
"""The plan inside a `.tflite`: TFLM's ``OfflineMemoryAllocation`` and this project's ``VitPlan``.

``OfflineMemoryAllocation`` is described in `converter.plan.offline`. ``VitPlan`` adds what that
format cannot say, as int32 little-endian words:

    0  magic "VPL1"
    1  format version, 1
    2  total number of words
    3  fingerprint: CRC-32 of the graph (shapes, types, operators, options), as int32
    4  arena_bytes
    5  lower_bound_bytes; equal to arena_bytes where the plan is proved optimal
    6  strip offset, -1 unless the image is streamed
    7  strip bytes, 0 unless the image is streamed
    8  number of tensors n
    9  number of operators m
    then n x (offset, bytes)             -1 and 0 for a constant or a streamed image
    then m x (scratch offset, bytes)     -1 and 0 for an operator without scratch
"""

from __future__ import annotations

import dataclasses
import struct
import zlib

import numpy as np

from converter.plan.layout import Plan, Span
from converter.plan.offline import NOT_PLANNED, OFFLINE_NAME, offline_entry, only_entry
from converter.plan.problem import PlanError
from converter.tflite import Graph, Metadata, Model

PLAN_NAME = "VitPlan"
MAGIC = 0x314C5056  # "VPL1" little-endian
VERSION = 1
HEADER_WORDS = 10


def fingerprint(graph: Graph) -> int:
    """CRC-32 of all that decides a plan: tensors, operators and their options; as int32."""
    crc = 0
    for t in graph.tensors:
        text = f"{t.shape}{t.dtype.str}{t.is_constant}{t.is_variable}"
        crc = zlib.crc32(text.encode(), crc)
    for op in graph.operators:
        crc = zlib.crc32(f"{op.name}{op.inputs}{op.outputs}".encode(), crc)
        crc = zlib.crc32(op.custom_options, crc)
    crc = zlib.crc32(f"{graph.inputs}{graph.outputs}".encode(), crc)
    return crc - (1 << 32) if crc >= 1 << 31 else crc


def _span_words(span: Span | None) -> tuple[int, int]:
    return (NOT_PLANNED, 0) if span is None else (span.offset, span.size_bytes)


def _plan_words(graph: Graph, plan: Plan) -> list[int]:
    spans = [w for s in (*plan.tensors, *plan.scratch) for w in _span_words(s)]
    count = HEADER_WORDS + len(spans)
    return [
        *(MAGIC, VERSION, count, fingerprint(graph)),
        *(plan.arena_bytes, plan.lower_bound_bytes, *_span_words(plan.strip)),
        *(len(plan.tensors), len(plan.scratch)),
        *spans,
    ]


def with_plan(model: Model, plan: Plan, tflm_image_offset: int = NOT_PLANNED) -> Model:
    """The model with both metadata entries, replacing any older plan.

    Args:
      tflm_image_offset: where TFLM, which has the whole image in its arena, is to put the image of
        a streamed plan.
    """
    offsets = [NOT_PLANNED if s is None else s.offset for s in plan.tensors]
    if plan.streamed:
        offsets[model.graph.inputs[0]] = tflm_image_offset
    words = _plan_words(model.graph, plan)
    own = Metadata(PLAN_NAME, struct.pack(f"<{len(words)}i", *words))
    metadata = (*without_plan(model).metadata, offline_entry(offsets), own)
    return dataclasses.replace(model, metadata=metadata)


def without_plan(model: Model) -> Model:
    """The model without a plan."""
    kept = tuple(m for m in model.metadata if m.name not in (OFFLINE_NAME, PLAN_NAME))
    return dataclasses.replace(model, metadata=kept)


def parsed_plan(model: Model) -> Plan:
    """The plan that a model carries, as it is written; `converter.plan.stored` checks it.

    Raises:
      PlanError: it has none, or one that is malformed or was made for another graph.
    """
    data = only_entry(model, PLAN_NAME)
    if data is None:
        raise PlanError("the model has no VitPlan metadata; plan it with python -m converter.fuse")
    if len(data) < 4 * HEADER_WORDS or len(data) % 4:
        raise PlanError(f"VitPlan: got {len(data)} bytes, expected at least {4 * HEADER_WORDS}")
    words = [int(w) for w in np.frombuffer(data, "<i4")]
    graph = model.graph
    expected = HEADER_WORDS + 2 * (len(graph.tensors) + len(graph.operators))
    if words[0] != MAGIC or words[1] != VERSION:
        raise PlanError(
            f"VitPlan: got magic {words[0]:#x} version {words[1]}, expected {MAGIC:#x} version "
            f"{VERSION}; plan the model again"
        )
    counts = (len(graph.tensors), len(graph.operators))
    if not words[2] == len(words) == expected or tuple(words[8:10]) != counts:
        raise PlanError(
            f"VitPlan: got {len(words)} words for {words[8]} tensors and {words[9]} operators; "
            f"the model has {counts[0]} and {counts[1]}; plan the model again"
        )
    if words[3] != fingerprint(graph):
        raise PlanError("VitPlan: made for another graph or schedule; plan the model again")
    spans = (words[HEADER_WORDS::2], words[HEADER_WORDS + 1 :: 2])
    pairs = [
        None if offset == NOT_PLANNED else Span(offset, size)
        for offset, size in zip(*spans, strict=True)
    ]
    strip = None if words[6] == NOT_PLANNED else Span(words[6], words[7])
    for offset, size in ((words[6], words[7]), *zip(*spans, strict=True)):
        if offset == NOT_PLANNED and size:
            raise PlanError(f"VitPlan: got {size} bytes without an offset; plan the model again")
    tensors, scratch = pairs[: counts[0]], pairs[counts[0] :]
    return Plan(words[4], words[5], tuple(tensors), tuple(scratch), strip)
