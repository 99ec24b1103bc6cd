# SPDX-License-Identifier: Apache-2.0
"""What a field of an operator's parameters is in the file and in C.

Bounds, shapes and conditions are expressions (expression.py) of the named limits, the struct's
parameters and the fields before. Checks run right after their field is read, so that later fields
may rely on them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.schema.status import Status

Text = TypeVar("Text", covariant=True)

ELEMENTS: dict[str, type[np.generic]] = {
    "int8_t": np.int8,
    "int16_t": np.int16,
    "int32_t": np.int32,
    "uint16_t": np.uint16,
}


@dataclasses.dataclass(frozen=True)
class Check:
    """A condition between fields, as an expression."""

    condition: str
    status: Status = Status.BAD_DIMENSION


@dataclasses.dataclass(frozen=True)
class Predicate:
    """A check of arrays' contents that no expression states: a function in both languages.

    Attributes:
      c_function: of kernels/vit_checks.h, returning whether the arguments are fine.
      function: the same in Python.
      arguments: fields, arrays and parts (by address in C), as dotted names.
      condition: the expression under which it is checked; empty for always.
      expected: in words, for messages.
    """

    c_function: str
    function: Callable[..., bool]
    arguments: tuple[str, ...]
    expected: str
    condition: str = ""
    status: Status = Status.BAD_VALUE


class CMembers(Protocol[Text]):
    """How a member of a C struct is initialized: one way for each thing that a field may hold."""

    def integer(self, value: int) -> Text:
        """An int32."""
        ...

    def wide_integer(self, value: int) -> Text:
        """An int64."""
        ...

    def name(self, text: str) -> Text:
        """What C knows by a name."""
        ...

    def array(self, element: str) -> Text:
        """A pointer to the field's array, by the C type of its elements."""
        ...

    def part(self, value: Any) -> Text:
        """Another struct."""
        ...


@dataclasses.dataclass(frozen=True)
class FieldKind:
    """What all fields may state.

    Attributes:
      doc: a few words for vit_types.h and docs/operators.md.
      checks: conditions that hold once the field is read.
      schedule: the field never changes a result, only memory and time.
    """

    doc: str = dataclasses.field(default="", kw_only=True)
    checks: tuple[Check | Predicate, ...] = dataclasses.field(default=(), kw_only=True)
    schedule: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def follows_layout(self) -> bool:
        """Whether these are weights whose order the kernels decide."""
        return False

    def member(self, value: Any, members: CMembers[Text]) -> Text | None:
        """The member's initializer in C; None for what is absent, which C sets to zero."""
        return None if value is None else members.integer(int(value))


@dataclasses.dataclass(frozen=True)
class FunctionMember:
    """A word that C holds as a pointer to the function that it selects.

    A network links the functions that its words select, and no others.

    Attributes:
      c_type: of the pointer.
      names: the function of each value; NULL for those that are missing.
    """

    c_type: str
    names: Mapping[int, str]

    def text(self, value: int) -> str:
        """The member's value in C."""
        return self.names.get(value, "NULL")


@dataclasses.dataclass(frozen=True)
class Word(FieldKind):
    """An int32 in [low, high], or one of ``choices``; one word.

    A word with a ``function`` is read ahead, so that shapes of fields before it may depend on it;
    where its turn comes it is checked.
    """

    low: int | str = -(1 << 31)
    high: int | str = (1 << 31) - 1
    choices: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)
    status: Status = dataclasses.field(default=Status.BAD_VALUE, kw_only=True)
    function: FunctionMember | None = dataclasses.field(default=None, kw_only=True)

    @property
    def bounds(self) -> tuple[str, str]:
        """The lowest and the highest value, as expressions."""
        if self.choices:
            return str(min(self.choices)), str(max(self.choices))
        return str(self.low), str(self.high)

    def member(self, value: Any, members: CMembers[Text]) -> Text | None:
        """A function that the word selects, or the word."""
        if self.function is None:
            return super().member(value, members)
        return members.name(self.function.text(int(value)))


def dimension(high: int | str, **keywords: Any) -> Word:
    """A count in [1, high]."""
    return Word(1, high, status=Status.BAD_DIMENSION, **keywords)


def expanded_inputs_word() -> Word:
    """How many inputs of a layer the DSP core expands the weights of at a time."""
    return Word(
        2,
        "MAX_EXPANSION",
        status=Status.BAD_DIMENSION,
        checks=(Check("expanded_inputs % 2 == 0"),),
        schedule=True,
        doc="even; inputs whose weights are expanded at a time, more where there is room",
    )


def zero_point(bits: str = "8", **keywords: Any) -> Word:
    """The zero point of an int8 tensor; an int16 tensor has 0."""
    if bits == "8":
        return Word(-128, 127, **keywords)
    return Word(f"-128 if {bits} == 8 else 0", f"127 if {bits} == 8 else 0", **keywords)


@dataclasses.dataclass(frozen=True)
class Word64(FieldKind):
    """An int64 in [0, 2**bits); two words, low first."""

    bits: int = 63
    status: Status = dataclasses.field(default=Status.BAD_VALUE, kw_only=True)

    def member(self, value: Any, members: CMembers[Text]) -> Text | None:
        """A whole number."""
        return members.wide_integer(int(value))


@dataclasses.dataclass(frozen=True)
class Codec:
    """How an array that Python holds in one form is stored in another.

    ``encode(values, fields)`` and ``decode(stored, fields)`` get the struct's fields read so far.

    Attributes:
      follows_layout: the order is the kernels'.
    """

    encode: Callable[[NDArray[Any], Mapping[str, Any]], NDArray[Any]]
    decode: Callable[[NDArray[Any], Mapping[str, Any]], NDArray[Any]]
    follows_layout: bool = False


@dataclasses.dataclass(frozen=True)
class Array(FieldKind):
    """An array in the blob: one word, its byte offset.

    Attributes:
      element: C type, or an expression of bits (8 or 16) behind "bits:", a `void` pointer in C.
      shape: expressions.
      present: expression; where it is 0 the word is 0 and the array absent (None). Empty: always.
      section: what its bytes are counted as in a report of flash.
    """

    element: str = "int8_t"
    shape: tuple[str, ...] = ("1",)
    present: str = dataclasses.field(default="", kw_only=True)
    codec: Codec | None = dataclasses.field(default=None, kw_only=True)
    section: str = dataclasses.field(default="tables", kw_only=True)

    @property
    def follows_layout(self) -> bool:
        """Whether its codec does."""
        return self.codec is not None and self.codec.follows_layout

    def member(self, value: Any, members: CMembers[Text]) -> Text | None:
        """A pointer."""
        return members.array(self.c_element)

    @property
    def c_element(self) -> str:
        """The type that the pointer in C points to."""
        return "void" if self.element.startswith("bits:") else self.element

    @property
    def count(self) -> str:
        """Number of elements, as an expression."""
        return " * ".join(f"({part})" if not part.isidentifier() else part for part in self.shape)


@dataclasses.dataclass(frozen=True)
class Part(FieldKind):
    """Another struct inside; its type is the annotation's.

    Attributes:
      arguments: values of that struct's PARAMETERS, as expressions.
      present: expression; where it is 0 all its words are 0 and the part is absent (None).
    """

    arguments: Mapping[str, str] = dataclasses.field(default_factory=dict)
    present: str = dataclasses.field(default="", kw_only=True)

    def member(self, value: Any, members: CMembers[Text]) -> Text | None:
        """A struct, where there is one."""
        return None if value is None else members.part(value)
