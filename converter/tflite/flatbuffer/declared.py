# SPDX-License-Identifier: Apache-2.0
"""What `schema.json` declares: enumerations, unions, and the fields of each table."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Bytes of each scalar, by flatbuffers' name of it.
SCALAR_BYTES = {"Bool": 1, "Int8": 1, "Uint8": 1, "Int16": 2, "Uint16": 2, "Int32": 4,
                "Uint32": 4, "Float32": 4, "Int64": 8, "Uint64": 8, "Float64": 8}  # fmt: skip
OFFSET_BYTES = 4
STRING = "string"


class Kind(enum.Enum):
    """What the value of a field is."""

    SCALAR = enum.auto()
    VECTOR = enum.auto()
    STRING = enum.auto()
    TABLE = enum.auto()
    TABLES = enum.auto()
    UNION = enum.auto()


@dataclasses.dataclass(frozen=True)
class TableField:
    """Of a table.

    Attributes:
      name: of the attribute that holds it, e.g. `isVariable`.
      slot: place in the vtable.
      of: the scalar (also of a vector's elements), the table, or the union; the slot before a
        union's says which of its tables it is.
      default: of a scalar that is absent.
    """

    name: str
    slot: int
    kind: Kind
    of: str
    default: int | float = 0

    @property
    def size(self) -> int:
        """Bytes of the value, or of an element of a vector."""
        return SCALAR_BYTES.get(self.of, OFFSET_BYTES)

    @property
    def absent(self) -> int | float:
        """What a scalar is that is absent, in its own type."""
        own = {"Bool": bool, "Float32": float, "Float64": float}.get(self.of, int)
        return own(self.default)


@functools.cache
def _content() -> Mapping[str, Any]:
    text = Path(__file__).with_name("schema.json").read_text(encoding="utf-8")
    content: Mapping[str, Any] = json.loads(text)
    return content


def enumerations() -> Mapping[str, Mapping[str, int]]:
    """Value by name, of each enumeration and each union."""
    found: Mapping[str, Mapping[str, int]] = _content()["enumerations"]
    return found


def tables() -> tuple[str, ...]:
    """Their names."""
    return tuple(_content()["tables"])


@functools.cache
def members(union: str) -> Mapping[int, str]:
    """The tables that a union can hold, by what its type says; 0 is none."""
    return {value: name for name, value in enumerations()[union].items() if value}


def _field(slot: int, entry: list[Any]) -> TableField:
    name, written, *default = entry
    of = written.strip("[]")
    many = of != written
    if of in SCALAR_BYTES:
        return TableField(name, slot, Kind.VECTOR if many else Kind.SCALAR, of, *default)
    if of == STRING:
        return TableField(name, slot, Kind.STRING, of)
    if of in enumerations():
        return TableField(name, slot, Kind.UNION, of)
    return TableField(name, slot, Kind.TABLES if many else Kind.TABLE, of)


@functools.cache
def fields(table: str) -> tuple[TableField, ...]:
    """Of a table, in the order of their slots."""
    entries = _content()["tables"][table]
    return tuple(_field(slot, entry) for slot, entry in enumerate(entries) if entry)


def slots(table: str) -> int:
    """Length of its vtable; fields that were given up are counted."""
    return len(_content()["tables"][table])


@functools.cache
def field(table: str, name: str) -> TableField:
    """One of them."""
    return next(found for found in fields(table) if found.name == name)
