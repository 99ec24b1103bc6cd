# SPDX-License-Identifier: Apache-2.0
"""Whether bytes are a whole flatbuffer of TFLite's schema: what flatbuffers' C++ Verifier asks.

Reading follows offsets wherever they lead: to another table, or backwards from the end of the file.
So before it, every table, vector and string that can be reached is checked to lie in the file at
its alignment, and every string to end and to be UTF-8 (flatbuffers, "Verifier" and
include/flatbuffers/verifier.h). Which fields a table has is declared in `flatbuffer/schema.json`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from converter.tflite.flatbuffer.declared import OFFSET_BYTES, Kind, TableField, fields, members

_FORMS = {size: struct.Struct(form) for size, form in ((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q"))}
_BYTE, _UINT16, _UINT32, _INT32 = _FORMS[1], _FORMS[2], _FORMS[4], struct.Struct("<i")


class FlatbufferError(ValueError):
    """Bytes are no whole flatbuffer; the message says what is wrong."""


class _Verifier:
    """Walks one file; what was seen is not walked again, however many tables lead to it."""

    def __init__(self, content: bytes) -> None:
        self._content, self._size = content, len(content)
        self._seen: set[tuple[str, int]] = set()

    def walk(self, table: str, at: int) -> None:
        """Everything that can be reached from a table."""
        ahead = [(table, at)]
        while ahead:
            found = ahead.pop()
            if self._new(*found):
                ahead.extend(self._table(*found))

    def _new(self, what: str, at: int) -> bool:
        """Whether this is the first time that the walk comes here."""
        if (what, at) in self._seen:
            return False
        self._seen.add((what, at))
        return True

    def number(self, form: struct.Struct, at: int, what: str) -> int:
        """A number at its alignment within the file."""
        size = form.size
        self._expect_inside(at, size, what)
        if at % size:
            raise FlatbufferError(f"{what} at byte {at}, which is no multiple of {size}")
        return int(form.unpack_from(self._content, at)[0])

    def _expect_inside(self, at: int, size: int, what: str) -> None:
        if not 0 <= at <= self._size - size:
            raise FlatbufferError(f"{what} at bytes {at}..{at + size} of {self._size}")

    def _table(self, table: str, at: int) -> Iterator[tuple[str, int]]:
        """Checks a table and what it holds; gives the tables that it leads to."""
        vtable = at - self.number(_INT32, at, f"a table {table}")
        size = self.number(_UINT16, vtable, f"the vtable of {table}")
        if size % 2 or size < 4:
            raise FlatbufferError(f"a vtable of {size} bytes of {table}")
        self._expect_inside(vtable, size, f"the vtable of {table}")
        places = struct.unpack_from(f"<{size // 2}H", self._content, vtable)[2:]
        for field in fields(table):
            if field.slot < len(places) and places[field.slot]:
                yield from self._value(table, field, at + places[field.slot], at, places)

    def _value(
        self, table: str, field: TableField, at: int, start: int, places: tuple[int, ...]
    ) -> Iterator[tuple[str, int]]:
        what = f"{table}.{field.name}"
        if field.kind is Kind.SCALAR:
            self.number(_FORMS[field.size], at, what)
            return
        to = self._target(at, what)
        if field.kind is Kind.TABLE:
            yield field.of, to
        elif field.kind is Kind.TABLES:
            for place in self._vector(to, field.size, what) if self._new(what, to) else ():
                yield field.of, self._target(place, what)
        elif field.kind is Kind.UNION:
            said = places[field.slot - 1]
            chosen = self.number(_BYTE, start + said, f"the type of {what}") if said else 0
            if chosen in members(field.of):
                yield members(field.of)[chosen], to
        elif field.kind is Kind.STRING:
            self._string(to, what)
        else:
            self._vector(to, field.size, what)

    def _target(self, at: int, what: str) -> int:
        offset = self.number(_UINT32, at, what)
        if not 0 < offset < 1 << 31:
            raise FlatbufferError(f"{what}: an offset of {offset}")
        return at + offset

    def _vector(self, at: int, size: int, what: str) -> range:
        count = self.number(_UINT32, at, what)
        self._expect_inside(at + OFFSET_BYTES, count * size, what)
        return range(at + OFFSET_BYTES, at + OFFSET_BYTES + count * size, size)

    def _string(self, at: int, what: str) -> None:
        if not self._new("text", at):
            return
        place = self._vector(at, 1, what)
        if self._content[place.stop : place.stop + 1] != b"\0":
            raise FlatbufferError(f"{what}: a string without its end")
        try:
            self._content[place.start : place.stop].decode("utf-8")
        except UnicodeDecodeError as error:
            raise FlatbufferError(f"{what}: text that is not UTF-8") from error


def verify(content: bytes) -> None:
    """Raises FlatbufferError unless all that a reader could follow lies in the file.

    Args:
      content: of a `.tflite`; what follows the flatbuffer is not looked at. The time is that of
        its tables, not of its weights.
    """
    verifier = _Verifier(content)
    verifier.walk("Model", verifier.number(_UINT32, 0, "the root"))
