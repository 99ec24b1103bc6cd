# SPDX-License-Identifier: Apache-2.0
"""Writes objects of TFLite's schema as a flatbuffer, byte for byte as the generated classes would.

But for one thing: a buffer's data starts at a multiple of 16 bytes, where those align it to 1.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

from converter.tflite.flatbuffer import declared
from converter.tflite.flatbuffer.declared import Kind, TableField, fields, members
from converter.tflite.flatbuffer.unpack import DTYPES

FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16  # bytes; TFLM's kernels read weights in place (schema: force_align 16)
_ALIGNED = declared.field("Buffer", "data")


class _Packer:
    def __init__(self, capacity: int) -> None:
        self.builder = flatbuffers.Builder(capacity)

    def table(self, table: str, source: Any) -> int:
        """Writes a table and all below it; returns its place."""
        builder = self.builder
        values = {f.slot: getattr(source, f.name) for f in fields(table)}
        places = {
            f.slot: self._below(f, values)
            for f in fields(table)
            if f.kind is not Kind.SCALAR and values[f.slot] is not None
        }
        builder.StartObject(declared.slots(table))
        for field in fields(table):
            if field.kind is Kind.SCALAR:
                prepend = getattr(builder, f"Prepend{field.of}Slot")
                prepend(field.slot, values[field.slot], field.default)
            elif field.slot in places:
                builder.PrependUOffsetTRelativeSlot(field.slot, places[field.slot], 0)
        return int(builder.EndObject())

    def _below(self, field: TableField, values: dict[int, Any]) -> int:
        """Writes what a field's offset leads to."""
        builder, value = self.builder, values[field.slot]
        if field.kind is Kind.STRING:
            return int(builder.CreateString(value))
        if field.kind is Kind.TABLE:
            return self.table(field.of, value)
        if field.kind is Kind.UNION:
            return self.table(members(field.of)[values[field.slot - 1]], value)
        if field.kind is Kind.TABLES:
            places = [self.table(field.of, child) for child in value]
            builder.StartVector(4, len(places), 4)
            for place in reversed(places):
                builder.PrependUOffsetTRelative(place)
            return int(builder.EndVector())
        return self._vector(field, value)

    def _vector(self, field: TableField, value: Any) -> int:
        alignment = BUFFER_ALIGNMENT if field is _ALIGNED else field.size
        if not isinstance(value, bytes):
            value = np.ascontiguousarray(value, DTYPES[field.of]).tobytes()
        builder = self.builder
        builder.StartVector(field.size, len(value) // field.size, alignment)
        head = builder.Head() - len(value)
        builder.head = head
        builder.Bytes[head : head + len(value)] = value
        return int(builder.EndVector())


def pack(tree: Any, capacity: int = 1 << 16) -> bytes:
    """The object tree (`schema.ModelT`) as a file.

    Args:
      capacity: bytes that the file takes, if known; a larger one costs copies.
    """
    packer = _Packer(capacity)
    packer.builder.Finish(packer.table("Model", tree), file_identifier=FILE_IDENTIFIER)
    return bytes(packer.builder.Output())
