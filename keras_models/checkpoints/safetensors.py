# SPDX-License-Identifier: Apache-2.0
"""The safetensors format: eight bytes with the header's length, a JSON header, the data.

(github.com/huggingface/safetensors, README.) Nothing in such a file can be run.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any

from keras_models.checkpoints.tensors import ITEM_BYTES, CheckpointTensor, contiguous
from tflm_vit.files import parse_json

_LONGEST_HEADER = 100_000_000  # as the format's own readers have it
_KINDS = {
    "F32": "float32",
    "F64": "float64",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def read(path: str) -> dict[str, CheckpointTensor]:
    """All tensors of a file.

    Raises:
      ValueError: it is not of this format.
    """
    with open(path, "rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    length = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else 0
    if not 2 <= length <= min(_LONGEST_HEADER, len(data) - 8):
        raise ValueError("neither a safetensors nor a PyTorch zip file")
    header = parse_json(bytes(data[8 : 8 + length]).decode("utf-8"))
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    body, end = data[8 + length :], 0
    found = {}
    entries = [(k, v) for k, v in header.items() if k != "__metadata__"]
    for name, entry in sorted(entries, key=lambda item: _offsets(*item)):
        start, stop = _offsets(name, entry)
        if start != end or stop > len(body):
            raise ValueError(f"{name[:80]}: data at {start} to {stop}, expected from {end} on")
        found[name], end = _tensor(name, entry, body[start:stop]), stop
    if end != len(body):
        raise ValueError(f"{len(body)} bytes of data, its tensors have {end}")
    return found


def _offsets(name: str, entry: Any) -> tuple[int, int]:
    start, stop = entry["data_offsets"]
    if type(start) is not int or type(stop) is not int or not 0 <= start <= stop:
        raise ValueError(f"{name[:80]}: data_offsets {entry['data_offsets']!r}")
    return start, stop


def _tensor(name: str, entry: Any, data: memoryview) -> CheckpointTensor:
    kind, shape = _KINDS.get(entry["dtype"]), tuple(entry["shape"])
    if kind is None:
        raise ValueError(f"{name[:80]}: numbers of type {str(entry['dtype'])[:20]!r} are not read")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{name[:80]}: shape {shape!r}"[:200])
    count = 1
    for size in shape:
        count *= size
    if count * ITEM_BYTES[kind] != len(data):
        raise ValueError(
            f"{name[:80]}: {len(data)} bytes, shape {shape} of {kind} has another size"
        )
    return CheckpointTensor(data, kind, shape, contiguous(shape))
