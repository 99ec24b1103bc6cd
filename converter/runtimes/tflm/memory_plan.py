# SPDX-License-Identifier: Apache-2.0
"""The memory plan of TFLM on a device: what ``planned_memory_planner.h`` reads.

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

from converter.runtimes.tflm import model_file
from converter.runtimes.tflm.errors import TflmModelError

MAGIC = 0x31504D56  # "VMP1" little-endian
VERSION = 1
ALIGNMENT = 16  # bytes, of every offset


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
class Placement:
    """Where a buffer goes.

    Attributes:
      region: index in the planner's regions; 0 is the tensor arena.
      offset: bytes from the region's start, a multiple of 16.
      overwrites: number of the buffer whose bytes it may take over, None for none.
    """

    region: int
    offset: int
    overwrites: int | None = None


def buffer_requests(
    model: model_file.Model, scratch_bytes: Mapping[int, int]
) -> tuple[BufferRequest, ...]:
    """The buffers of a model with one subgraph, in the order in which TFLM asks for them.

    Args:
      model: an unpacked ``.tflite`` (``model_file.load_model``).
      scratch_bytes: bytes that an operator requests, by operator index; one request each.

    Raises:
      TflmModelError: more than one subgraph, or variable tensors.
    """
    if len(model.subgraphs) != 1:
        raise TflmModelError(f"memory plan: got {len(model.subgraphs)} subgraphs, expected 1")
    graph = model.subgraphs[0]
    first: dict[int, int] = dict.fromkeys((int(i) for i in graph.inputs), 0)
    last = dict(first)
    operators = graph.operators or []
    for step, op in enumerate(operators, start=1):
        for index in op.outputs:
            first.setdefault(int(index), step)
        for index in (*op.inputs, *op.outputs):
            last[int(index)] = step
    for index in graph.outputs:
        first.setdefault(int(index), len(operators))
        last[int(index)] = len(operators)
    requests = []
    for index, tensor in enumerate(graph.tensors):
        if tensor.isVariable:
            raise TflmModelError(f"memory plan: tensor {index} is a variable, expected none")
        data = model.buffers[tensor.buffer].data
        if index in first and (data is None or len(data) == 0):
            size = model_file.tensor_bytes(tensor)
            requests.append(BufferRequest(size, first[index], last[index], tensor=index))
    for operator in sorted(scratch_bytes):
        if scratch_bytes[operator] > 0:
            size = scratch_bytes[operator]
            requests.append(BufferRequest(size, operator + 1, operator + 1, operator=operator))
    return tuple(requests)


def encode_plan(
    model_bytes: bytes,
    requests: Sequence[BufferRequest],
    placements: Sequence[Placement],
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
