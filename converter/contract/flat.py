# SPDX-License-Identifier: Apache-2.0
"""Reading and writing tables of a flatbuffer by field number, for small schemas without generated
classes.

Layout: the FlatBuffers internals document. Field n of a table is entry n of its vtable.
"""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers
from flatbuffers import encode, number_types, packer
from flatbuffers.table import Table as RawTable

MAX_ELEMENTS = 1 << 16  # of a vector that is read; more is a damaged file

# What reading damaged bytes raises: numbers out of range, slices of nothing.
READ_ERRORS = (ValueError, TypeError, IndexError, OverflowError, MemoryError)


class FlatTable:
    """A table of a flatbuffer. Reading raises one of `READ_ERRORS`, or struct.error."""

    def __init__(self, content: bytes, position: int) -> None:
        if not 0 <= position <= len(content) - 4:
            raise ValueError(f"got a table at byte {position} of {len(content)}")
        self._content = content
        self._raw = RawTable(content, position)

    @classmethod
    def root(cls, content: bytes) -> FlatTable:
        return cls(content, encode.Get(packer.uoffset, content, 0))

    def _at(self, field: int) -> int | None:
        offset = self._raw.Offset(4 + 2 * field)
        return self._raw.Pos + offset if offset else None

    def text(self, field: int) -> str:
        """A string; "" where it is absent."""
        at = self._at(field)
        if at is None:
            return ""
        return str(self._raw.String(at).decode("utf-8", "replace"))

    def byte(self, field: int) -> int:
        """A byte or enumeration of one; 0 where it is absent."""
        at = self._at(field)
        return 0 if at is None else int(self._raw.Get(number_types.Uint8Flags, at))

    def table(self, field: int) -> FlatTable | None:
        """A table, or the value of a union (whose type is in the field before)."""
        at = self._at(field)
        return None if at is None else FlatTable(self._content, self._raw.Indirect(at))

    def _vector(self, field: int) -> tuple[int, int]:
        """(first byte, elements)."""
        offset = self._raw.Offset(4 + 2 * field)
        if not offset:
            return 0, 0
        count = int(self._raw.VectorLen(offset))
        if count > MAX_ELEMENTS:
            raise ValueError(f"got a vector of {count} elements, expected at most {MAX_ELEMENTS}")
        return int(self._raw.Vector(offset)), count

    def tables(self, field: int) -> tuple[FlatTable, ...]:
        start, count = self._vector(field)
        places = (start + 4 * i for i in range(count))
        return tuple(FlatTable(self._content, self._raw.Indirect(at)) for at in places)

    def floats(self, field: int) -> tuple[float, ...]:
        start, count = self._vector(field)
        flags = number_types.Float32Flags
        return tuple(float(self._raw.Get(flags, start + 4 * i)) for i in range(count))

    def data(self, field: int) -> bytes:
        """A vector of bytes."""
        start, count = self._vector(field)
        return bytes(self._content[start : start + count])


class FlatWriter:
    """Builds a flatbuffer from its leaves to its root; each method returns what fields refer to."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return int(self._builder.CreateString(value))

    def floats(self, values: Sequence[float]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        return int(self._builder.EndVector())

    def data(self, value: bytes) -> int:
        """A vector of bytes at a multiple of 16."""
        self._builder.StartVector(1, len(value), 16)
        for byte in reversed(value):
            self._builder.PrependByte(byte)
        return int(self._builder.EndVector())

    def vector(self, places: Sequence[int]) -> int:
        """A vector of tables."""
        self._builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self._builder.PrependUOffsetTRelative(place)
        return int(self._builder.EndVector())

    def table(
        self,
        places: Sequence[tuple[int, int]] = (),
        *,
        small: Sequence[tuple[int, int]] = (),
        uints: Sequence[tuple[int, int]] = (),
    ) -> int:
        """A table.

        Args:
          places: (field, what a method of this class returned).
          small: (field, value of a byte).
          uints: (field, value of 32 bits).
        """
        fields = [number for number, _ in (*places, *small, *uints)]
        self._builder.StartObject(max(fields, default=-1) + 1)
        for field, place in places:
            self._builder.PrependUOffsetTRelativeSlot(field, place, 0)
        for field, value in uints:
            self._builder.PrependUint32Slot(field, value, 0)
        for field, value in small:
            self._builder.PrependUint8Slot(field, value, 0)
        return int(self._builder.EndObject())

    def finish(self, root: int, identifier: bytes) -> bytes:
        self._builder.Finish(root, file_identifier=identifier)
        return bytes(self._builder.Output())
