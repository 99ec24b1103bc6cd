# SPDX-License-Identifier: Apache-2.0
"""The table of a plan for TFLM on a device: what ``planned_memory_planner.h`` reads.

The host's wheel takes its plan from the ``OfflineMemoryAllocation`` entry of the model file, which
can place tensors only, in one region only. On a device :class:`PlannedMemoryPlanner` takes this
table instead: every buffer, scratch included, in any region.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from converter.plan.problem import PlanError
from converter.tflite import Graph

MAGIC = 0x31504D56  # "VMP1" little-endian
VERSION = 1


@dataclasses.dataclass(frozen=True)
class BufferRequest:
    """A buffer that TFLM will ask its planner for.

    Attributes:
      bytes: size.
      first_use, last_use: steps between which it is alive, both included: 0 before the first
        operator (model inputs), i + 1 while operator i runs.
      tensor: index in the main graph, None for a scratch buffer.
      operator: index of the operator, None for a tensor.
    """

    bytes: int
    first_use: int
    last_use: int
    tensor: int | None = None
    operator: int | None = None


@dataclasses.dataclass(frozen=True)
class BufferPlace:
    """Where a buffer goes.

    Attributes:
      region: index in the planner's regions; 0 is the tensor arena.
      offset: bytes from the region's start, a multiple of 16.
      overwrites: number of the buffer whose bytes it may take over, None for none.
    """

    region: int
    offset: int
    overwrites: int | None = None


def buffer_requests(graph: Graph, scratch_bytes: Mapping[int, int]) -> tuple[BufferRequest, ...]:
    """The buffers of a model, in the order in which TFLM asks for them.

    Args:
      graph: of the exact file that the firmware holds.
      scratch_bytes: bytes that an operator requests, by operator index; one request each.

    Raises:
      PlanError: variable tensors.
    """
    first: dict[int, int] = dict.fromkeys(graph.inputs, 0)
    last = dict(first)
    for step, op in enumerate(graph.operators, start=1):
        for index in op.outputs:
            first.setdefault(index, step)
        for index in (*op.inputs, *op.outputs):
            last[index] = step
    for index in graph.outputs:
        first.setdefault(index, len(graph.operators))
        last[index] = len(graph.operators)
    requests = []
    for index, tensor in enumerate(graph.tensors):
        if tensor.is_variable:
            raise PlanError(f"memory plan: tensor {index} is a variable, expected none")
        if index in first and not tensor.is_constant:
            requests.append(BufferRequest(tensor.nbytes, first[index], last[index], tensor=index))
    for operator in sorted(scratch_bytes):
        if scratch_bytes[operator] > 0:
            size = scratch_bytes[operator]
            requests.append(BufferRequest(size, operator + 1, operator + 1, operator=operator))
    return tuple(requests)


def encode_table(
    model_bytes: bytes,
    requests: Sequence[BufferRequest],
    placements: Sequence[BufferPlace],
    region_bytes: Sequence[int],
) -> NDArray[np.int32]:
    """The plan as the int32 words that go into the firmware.

    Args:
      model_bytes: the exact ``.tflite`` that goes with it.
      requests: from :func:`buffer_requests`.
      placements: one for each request.
      region_bytes: bytes that the plan uses of each region.

    Returns:
      int32 ``[6 + regions + 6 * buffers]``. The planner on the device checks it; so should the
      caller, with the validator of the converter.
    """
    if len(requests) != len(placements):
        raise ValueError(f"placements: got {len(placements)}, expected {len(requests)}")
    words = [MAGIC, VERSION, len(region_bytes), len(requests)]
    words += [len(model_bytes), zlib.crc32(model_bytes), *region_bytes]
    for request, place in zip(requests, placements, strict=True):
        overwrites = -1 if place.overwrites is None else place.overwrites
        words += [request.bytes, request.first_use, request.last_use]
        words += [place.region, place.offset, overwrites]
    return (np.array(words, np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
