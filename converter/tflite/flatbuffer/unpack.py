# SPDX-License-Identifier: Apache-2.0
"""Reads a flatbuffer of TFLite's schema into objects. Vectors are views of the file's bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from converter.tflite.flatbuffer import declared
from converter.tflite.flatbuffer.declared import Kind, TableField, fields, members
from converter.tflite.flatbuffer.objects import schema

_FORMS = {"Bool": "<?", "Int8": "<b", "Uint8": "<B", "Int16": "<h", "Uint16": "<H", "Int32": "<i",
          "Uint32": "<I", "Float32": "<f", "Int64": "<q", "Uint64": "<Q",
          "Float64": "<d"}  # fmt: skip
DTYPES = {name: np.dtype(form.replace("<?", "?")) for name, form in _FORMS.items()}


class TableView:
    """A table in a file that `converter.tflite.verifier` found whole."""

    def __init__(self, content: bytes, table: str, at: int) -> None:
        self._content = content
        self._table = table
        self._at = at
        (back,) = struct.unpack_from("<i", content, at)
        (size,) = struct.unpack_from("<H", content, at - back)
        self._places = struct.unpack_from(f"<{size // 2}H", content, at - back)[2:]

    @classmethod
    def root(cls, content: bytes) -> TableView:
        """The model."""
        return cls(content, "Model", struct.unpack_from("<I", content)[0])

    def _place(self, slot: int) -> int | None:
        """Where a field's value is; None where it is absent."""
        place = self._places[slot] if slot < len(self._places) else 0
        return self._at + place if place else None

    def _target(self, at: int) -> int:
        return at + int(struct.unpack_from("<I", self._content, at)[0])

    def _elements(self, field: TableField) -> tuple[int, int]:
        """(first byte, number) of a vector or a string."""
        place = self._place(field.slot)
        if place is None:
            return 0, 0
        at = self._target(place)
        return at + 4, int(struct.unpack_from("<I", self._content, at)[0])

    def length(self, name: str) -> int:
        """Elements of a vector, or bytes of a string; 0 where it is absent."""
        return self._elements(declared.field(self._table, name))[1]

    def children(self, name: str) -> Iterator[TableView]:
        """The tables of a vector, or the one of a field."""
        field = declared.field(self._table, name)
        if field.kind is Kind.TABLE:
            place = self._place(field.slot)
            if place is not None:
                yield TableView(self._content, field.of, self._target(place))
            return
        start, count = self._elements(field)
        for at in range(start, start + 4 * count, 4):
            yield TableView(self._content, field.of, self._target(at))

    def start(self, name: str) -> int:
        """First byte of a vector's elements; 0 where it is absent."""
        return self._elements(declared.field(self._table, name))[0]

    def tree(self) -> Any:
        """This table and all below it as objects."""
        made = getattr(schema, f"{self._table}T")()
        for field in fields(self._table):
            place = self._place(field.slot)
            if place is not None:
                setattr(made, field.name, self._value(field, place))
        return made

    def _value(self, field: TableField, place: int) -> Any:
        content = self._content
        if field.kind is Kind.SCALAR:
            return struct.unpack_from(_FORMS[field.of], content, place)[0]
        if field.kind is Kind.TABLE:
            return TableView(content, field.of, self._target(place)).tree()
        if field.kind is Kind.TABLES:
            return [child.tree() for child in self.children(field.name)]
        if field.kind is Kind.UNION:
            said = self._place(field.slot - 1)
            chosen = members(field.of).get(content[said] if said is not None else 0)
            return TableView(content, chosen, self._target(place)).tree() if chosen else None
        start, count = self._elements(field)
        if field.kind is Kind.STRING:
            return content[start : start + count]
        return np.frombuffer(content, DTYPES[field.of], count, start)


def unpack(content: bytes) -> Any:
    """The object tree (`schema.ModelT`) of a file that has been verified."""
    return TableView.root(content).tree()
