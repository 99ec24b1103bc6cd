# SPDX-License-Identifier: Apache-2.0
"""Whether bytes are a whole flatbuffer of TFLite's schema: what flatbuffers' C++ Verifier asks.

The generated Python classes follow offsets wherever they lead: to another table, or backwards from
the end of the file. So before they read, every table, vector and string that can be reached is
checked to lie in the file at its alignment, and every string to end and to be UTF-8 (flatbuffers,
"Verifier" and include/flatbuffers/verifier.h). Which fields a table has, and of what size, is asked
of the generated classes' own `Add` functions; what their offsets lead to is the table below.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from converter.tflite.schema import schema

# Fields that hold tables, or vectors of tables.
_TABLES: Mapping[tuple[str, str], str] = {
    ("Model", "OperatorCodes"): "OperatorCode",
    ("Model", "Subgraphs"): "SubGraph",
    ("Model", "Buffers"): "Buffer",
    ("Model", "Metadata"): "Metadata",
    ("Model", "SignatureDefs"): "SignatureDef",
    ("Model", "ExternalBufferGroups"): "ExternalBufferGroup",
    ("Model", "ExternalBuffers"): "ExternalBuffer",
    ("SubGraph", "Tensors"): "Tensor",
    ("SubGraph", "Operators"): "Operator",
    ("Tensor", "Quantization"): "QuantizationParameters",
    ("Tensor", "Sparsity"): "SparsityParameters",
    ("Tensor", "VariantTensors"): "VariantSubType",
    ("SparsityParameters", "DimMetadata"): "DimensionMetadata",
    ("SignatureDef", "Inputs"): "TensorMap",
    ("SignatureDef", "Outputs"): "TensorMap",
}
# Fields that hold one of several tables; the field before each says which.
_UNIONS: Mapping[tuple[str, str], str] = {
    ("Operator", "BuiltinOptions"): "BuiltinOptions",
    ("Operator", "BuiltinOptions2"): "BuiltinOptions2",
    ("QuantizationParameters", "Details"): "QuantizationDetails",
    ("DimensionMetadata", "ArraySegments"): "SparseIndexVector",
    ("DimensionMetadata", "ArrayIndices"): "SparseIndexVector",
}
_SIZES = {"Bool": 1, "Int8": 1, "Uint8": 1, "Int16": 2, "Uint16": 2, "Int32": 4, "Uint32": 4,
          "Float32": 4, "Int64": 8, "Uint64": 8, "Float64": 8}  # fmt: skip
_FORMS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
_OFFSET = 4  # bytes


class FlatbufferError(ValueError):
    """Bytes are no whole flatbuffer; the message says what is wrong."""


class _Kind(enum.Enum):
    SCALAR = enum.auto()
    VECTOR = enum.auto()
    STRING = enum.auto()
    TABLE = enum.auto()
    TABLES = enum.auto()
    UNION = enum.auto()


@dataclasses.dataclass(frozen=True)
class _Field:
    """Of a table.

    Attributes:
      slot: place in the vtable.
      size: bytes of the value, or of an element of a vector.
      target: the table or the union that an offset leads to.
    """

    name: str
    slot: int
    kind: _Kind
    size: int
    target: str = ""


class _Call:
    """A builder that remembers what was asked of it."""

    method = ""
    arguments: tuple[int, ...] = ()

    def __getattr__(self, name: str) -> Any:
        def asked(*arguments: int) -> int:
            self.method, self.arguments = name, arguments
            return 0

        return asked


def _field(table: str, name: str) -> _Field:
    call = _Call()
    getattr(schema, f"{table}Add{name}")(call, 0)
    slot = call.arguments[0]
    kind = call.method.removeprefix("Prepend").removesuffix("Slot")
    if kind in _SIZES:
        return _Field(name, slot, _Kind.SCALAR, _SIZES[kind])
    start = getattr(schema, f"{table}Start{name}Vector", None)
    target = _TABLES.get((table, name), "")
    if start is None and target:
        return _Field(name, slot, _Kind.TABLE, _OFFSET, target)
    if start is None:
        union = _UNIONS.get((table, name), "")
        return _Field(name, slot, _Kind.UNION if union else _Kind.STRING, _OFFSET, union)
    start(call, 0)
    return _Field(name, slot, _Kind.TABLES if target else _Kind.VECTOR, call.arguments[0], target)


@functools.cache
def fields(table: str) -> tuple[_Field, ...]:
    """Of a table of the schema, in the order of their names."""
    prefix = f"{table}Add"
    names = sorted(n.removeprefix(prefix) for n in vars(schema) if n.startswith(prefix))
    return tuple(_field(table, name) for name in names)


@functools.cache
def _members(union: str) -> Mapping[int, str]:
    values = vars(getattr(schema, union))
    return {value: name for name, value in values.items() if isinstance(value, int) and value}


class _Verifier:
    """Walks one file; what was seen is not walked again, however many tables lead to it."""

    def __init__(self, content: bytes) -> None:
        self._content = content
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

    def number(self, form: str, at: int, what: str) -> int:
        """A number at its alignment within the file."""
        size = struct.calcsize(form)
        self._expect_inside(at, size, what)
        if at % size:
            raise FlatbufferError(f"{what} at byte {at}, which is no multiple of {size}")
        return int(struct.unpack_from(form, self._content, at)[0])

    def _expect_inside(self, at: int, size: int, what: str) -> None:
        if not 0 <= at <= len(self._content) - size:
            raise FlatbufferError(f"{what} at bytes {at}..{at + size} of {len(self._content)}")

    def _table(self, table: str, at: int) -> Iterator[tuple[str, int]]:
        """Checks a table and what it holds; gives the tables that it leads to."""
        vtable = at - self.number("<i", at, f"a table {table}")
        size = self.number("<H", vtable, f"the vtable of {table}")
        if size % 2 or size < 4:
            raise FlatbufferError(f"a vtable of {size} bytes of {table}")
        self._expect_inside(vtable, size, f"the vtable of {table}")
        places = struct.unpack_from(f"<{size // 2}H", self._content, vtable)[2:]
        for field in fields(table):
            if field.slot < len(places) and places[field.slot]:
                yield from self._value(table, field, at + places[field.slot], at, places)

    def _value(
        self, table: str, field: _Field, at: int, start: int, places: tuple[int, ...]
    ) -> Iterator[tuple[str, int]]:
        what = f"{table}.{field.name}"
        if field.kind is _Kind.SCALAR:
            self.number(_FORMS[field.size], at, what)
            return
        to = self._target(at, what)
        if field.kind is _Kind.TABLE:
            yield field.target, to
        elif field.kind is _Kind.TABLES:
            for place in self._vector(to, field.size, what) if self._new(what, to) else ():
                yield field.target, self._target(place, what)
        elif field.kind is _Kind.UNION:
            said = places[field.slot - 1]
            chosen = self.number("<B", start + said, f"the type of {what}") if said else 0
            if chosen in _members(field.target):
                yield _members(field.target)[chosen], to
        elif field.kind is _Kind.STRING:
            self._string(to, what)
        else:
            self._vector(to, field.size, what)

    def _target(self, at: int, what: str) -> int:
        offset = self.number("<I", at, what)
        if not 0 < offset < 1 << 31:
            raise FlatbufferError(f"{what}: an offset of {offset}")
        return at + offset

    def _vector(self, at: int, size: int, what: str) -> range:
        count = self.number("<I", at, what)
        self._expect_inside(at + _OFFSET, count * size, what)
        return range(at + _OFFSET, at + _OFFSET + count * size, size)

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
    verifier.walk("Model", verifier.number("<I", 0, "the root"))
