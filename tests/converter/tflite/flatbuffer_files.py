# SPDX-License-Identifier: Apache-2.0
"""Files made with the generated TFLite classes alone, past the writer under test."""

from __future__ import annotations

import flatbuffers
from ai_edge_litert import schema_py_generated as schema


def pack(tree: object) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")  # type: ignore[attr-defined]
    return bytes(builder.Output())


def unpack(content: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def outside(content: bytes) -> bytes:
    """The file with every constant behind the flatbuffer, as ai-edge-quantizer writes them."""
    tree = unpack(content)
    payload: list[bytes] = []
    for buffer in tree.buffers:
        if buffer.data is not None and len(buffer.data):
            payload.append(bytes(buffer.data))
            buffer.data, buffer.offset, buffer.size = None, 1 << 40, len(payload[-1])
    size = len(pack(tree))  # a first pass: offsets do not change the flatbuffer's length
    start, order = size, iter(payload)
    for buffer in tree.buffers:
        if buffer.size:
            buffer.offset = start
            start += len(next(order))
    packed = pack(tree)
    assert len(packed) == size
    return packed + b"".join(payload)
