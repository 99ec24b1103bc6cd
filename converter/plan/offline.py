# SPDX-License-Identifier: Apache-2.0
"""TFLM's own plan entry, ``OfflineMemoryAllocation`` (TFLM, docs/memory_management.md).

int32 little-endian: version 1, the number of subgraphs, the number of tensors n, then n arena
offsets; -1 means "not planned". TFLM adds an offset to the arena's address, unchecked.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence

from converter.plan.problem import PlanError
from converter.tflite import Metadata, Model
from converter.tflite.sizes import MAX_TENSOR_BYTES

OFFLINE_NAME = "OfflineMemoryAllocation"
NOT_PLANNED = -1
_HEADER = (1, 1)  # version, subgraphs
_HEADERS = (_HEADER, (1, 0))  # some tools write the subgraph's number
_HEADER_WORDS = 3
TFLM_ALIGNMENT = 4  # bytes, of what its kernels read as int32 and float


def offline_entry(offsets: Sequence[int]) -> Metadata:
    """The entry for one offset per tensor."""
    words = [*_HEADER, len(offsets), *offsets]
    return Metadata(OFFLINE_NAME, struct.pack(f"<{len(words)}i", *words))


def with_offline(model: Model, offsets: Sequence[int] | None) -> Model:
    """The model with this entry instead of the one it had; None takes it away."""
    kept = tuple(m for m in model.metadata if m.name != OFFLINE_NAME)
    added = () if offsets is None else (offline_entry(offsets),)
    return dataclasses.replace(model, metadata=kept + added)


def only_entry(model: Model, name: str) -> bytes | None:
    """A metadata entry's bytes; None where there is none, PlanError where there are several."""
    found = [m.data for m in model.metadata if m.name == name]
    if len(found) > 1:
        raise PlanError(f"{name}: got {len(found)} entries, expected one; plan the model again")
    return found[0] if found else None


def offline_offsets(model: Model) -> tuple[int, ...] | None:
    """The offset of each tensor, or None where the file has no such entry.

    Raises:
      PlanError: an entry that TFLM would follow out of the arena.
    """
    data = only_entry(model, OFFLINE_NAME)
    if data is None:
        return None
    if len(data) % 4:
        raise PlanError(f"{OFFLINE_NAME}: got {len(data)} bytes, expected words of 4")
    words = struct.unpack(f"<{len(data) // 4}i", data)
    tensors = model.graph.tensors
    if words[:2] not in _HEADERS:
        raise PlanError(
            f"{OFFLINE_NAME}: got version and subgraphs {list(words[:2])}, expected "
            f"{list(_HEADER)}; plan the model again"
        )
    if len(words) != _HEADER_WORDS + len(tensors) or words[2] != len(tensors):
        raise PlanError(
            f"{OFFLINE_NAME}: got {len(words) - _HEADER_WORDS} offsets, expected one for each of "
            f"{len(tensors)} tensors; plan the model again"
        )
    offsets = words[_HEADER_WORDS:]
    for tensor, offset in zip(tensors, offsets, strict=True):
        usable = 0 <= offset <= MAX_TENSOR_BYTES and offset % TFLM_ALIGNMENT == 0
        if not (usable or offset == NOT_PLANNED or tensor.is_constant):
            raise PlanError(
                f"{OFFLINE_NAME}: got offset {offset} for tensor {tensor.name!r}, expected "
                f"{NOT_PLANNED} or a multiple of {TFLM_ALIGNMENT} bytes from the arena's start"
            )
    return offsets
