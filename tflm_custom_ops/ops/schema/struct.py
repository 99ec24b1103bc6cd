# SPDX-License-Identifier: Apache-2.0
"""Base of the parameter dataclasses, and the fields that they declare."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from tflm_custom_ops.ops.schema.fields import Array, FieldKind, Part, Word, Word64


@dataclasses.dataclass(frozen=True, eq=False)
class Struct:
    """A dataclass whose annotated fields, in order, are a C struct and its serialized form.

    Class attributes:
      C_TYPE: name of the struct in C.
      PARAMETERS: names that its expressions use and that a `Part` gives, e.g. ("bits",).

    A field with ``init=False`` follows from others: the class sets it in ``__post_init__`` with
    `derive`.
    """

    C_TYPE: ClassVar[str]
    PARAMETERS: ClassVar[tuple[str, ...]] = ()

    def derive(self, **values: int) -> None:
        """Sets fields of a frozen instance that follow from others."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclasses.dataclass(frozen=True)
class Field:
    """A declared field.

    Attributes:
      name: in Python and in C.
      kind: what stands in the file.
      type: Python type, None left out: int, bool, an enumeration, an array or a Struct.
      derived: whether it follows from other fields.
    """

    name: str
    kind: FieldKind
    type: Any
    derived: bool

    @property
    def words(self) -> int:
        """Option words that it takes."""
        if isinstance(self.kind, Part):
            return words_of(self.type)
        return 2 if isinstance(self.kind, Word64) else 1

    @property
    def is_read_ahead(self) -> bool:
        """Whether fields before it may depend on it."""
        return isinstance(self.kind, Word) and self.kind.function is not None

    @property
    def is_array(self) -> bool:
        """Whether its bytes stand in the blob."""
        return isinstance(self.kind, Array)


_FIELDS: dict[type[Struct], tuple[Field, ...]] = {}


def fields_of(struct: type[Struct]) -> tuple[Field, ...]:
    """The declared fields in the order of the file and of the C struct."""
    if struct not in _FIELDS:
        hints = typing.get_type_hints(struct, include_extras=True)
        _FIELDS[struct] = tuple(
            _field(field, hints[field.name])
            for field in dataclasses.fields(struct)
            if typing.get_origin(hints[field.name]) is typing.Annotated
        )
    return _FIELDS[struct]


def _field(field: dataclasses.Field[Any], hint: Any) -> Field:
    plain, kind = typing.get_args(hint)[:2]
    if not isinstance(kind, FieldKind):
        raise TypeError(f"{field.name}: got {kind!r}, expected a field of the schema")
    if isinstance(plain, types.UnionType):
        plain = next(part for part in typing.get_args(plain) if part is not types.NoneType)
    return Field(field.name, kind, plain, not field.init)


def words_of(struct: type[Struct]) -> int:
    """Option words of a struct."""
    return sum(field.words for field in fields_of(struct))


def word_offset(struct: type[Struct], name: str) -> int:
    """Position of a field's first word in its struct."""
    position = 0
    for field in fields_of(struct):
        if field.name == name:
            return position
        position += field.words
    raise KeyError(f"{struct.__name__}: has no field {name!r}")


def read_ahead(struct: type[Struct]) -> tuple[Field, ...]:
    """The fields that those before them may depend on."""
    return tuple(field for field in fields_of(struct) if field.is_read_ahead)


def functions_of(value: Struct) -> set[str]:
    """C functions that a struct's words select, those of its parts among them."""
    found: set[str] = set()
    for field in fields_of(type(value)):
        content = getattr(value, field.name)
        if isinstance(field.kind, Word) and field.kind.function is not None:
            found |= {name for v, name in field.kind.function.names.items() if v == content}
        elif isinstance(content, Struct):
            found |= functions_of(content)
    return found


def selectable_functions(struct: type[Struct]) -> set[str]:
    """All that words of a struct and of its parts can select."""
    found: set[str] = set()
    for field in fields_of(struct):
        if isinstance(field.kind, Word) and field.kind.function is not None:
            found |= set(field.kind.function.names.values())
        elif isinstance(field.kind, Part):
            found |= selectable_functions(field.type)
    return found


S = TypeVar("S", bound=Struct)


def parts_of(value: Struct, struct: type[S]) -> Iterator[S]:
    """Every part of that type inside a struct, at any depth, in order."""
    for field in fields_of(type(value)):
        content = getattr(value, field.name)
        if isinstance(content, struct):
            yield content
        elif isinstance(content, Struct):
            yield from parts_of(content, struct)
