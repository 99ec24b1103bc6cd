# SPDX-License-Identifier: Apache-2.0
"""Reads serialized parameters: the rules of the generated C parser, in the same order.

The first fault ends the reading; its status is what `vit_parse_*` returns for the same bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.schema.expression import evaluate, names
from tflm_custom_ops.ops.schema.fields import Array, Check, Part, Predicate, Word, Word64
from tflm_custom_ops.ops.schema.limits import LIMITS
from tflm_custom_ops.ops.schema.status import OptionsError, Status
from tflm_custom_ops.ops.schema.struct import (
    Field,
    Struct,
    fields_of,
    read_ahead,
    word_offset,
    words_of,
)
from tflm_custom_ops.ops.schema.writing import element_dtype

S = TypeVar("S", bound=Struct)


class _Where(NamedTuple):
    """A field of a struct; its name is put together where something is wrong with it."""

    struct: type[Struct]
    field: Field

    def __str__(self) -> str:
        return f"{self.struct.__name__}.{self.field.name}"

    def fault(self, got: int, expected: str, status: Status) -> OptionsError:
        """That the field's word is not what it has to be."""
        return OptionsError(f"{self}: got {got}, expected {expected}", status)


_WORDS_AHEAD: dict[type[Struct], tuple[tuple[str, int], ...]] = {}


def _words_ahead(struct: type[Struct]) -> tuple[tuple[str, int], ...]:
    """Names and positions of the fields that are read before their turn."""
    if struct not in _WORDS_AHEAD:
        _WORDS_AHEAD[struct] = tuple(
            (field.name, word_offset(struct, field.name)) for field in read_ahead(struct)
        )
    return _WORDS_AHEAD[struct]


class WordReader:
    """Option words, read in order, and the blob that arrays are taken from."""

    def __init__(self, words: NDArray[np.int32], blob: bytes, first: int) -> None:
        self._words = words
        self._blob = blob
        self._next = first

    def struct(self, struct: type[S], **parameters: int) -> S:
        """Reads a struct; raises OptionsError for the first fault."""
        scope: dict[str, Any] = dict(LIMITS) | parameters
        scope |= {name: self._ahead(words) for name, words in _words_ahead(struct)}
        values: dict[str, Any] = {}
        for field in fields_of(struct):
            value = self._field(_Where(struct, field), field, scope)
            scope[field.name] = value
            if not field.derived:
                values[field.name] = value
            for check in field.kind.checks:
                _check(struct, check, scope)
        return struct(**values)

    def done(self) -> None:
        """Raises OptionsError unless all words were read."""
        if self._next != len(self._words):
            raise OptionsError(
                f"options: got {len(self._words)} words, expected {self._next}", Status.TRUNCATED
            )

    def _word(self) -> int:
        if self._next >= len(self._words):
            raise OptionsError(
                f"options: got {len(self._words)} words, expected more", Status.TRUNCATED
            )
        self._next += 1
        return int(self._words[self._next - 1])

    def _ahead(self, words: int) -> int:
        """A word that is not read yet; 0 where there is none."""
        position = self._next + words
        return int(self._words[position]) if position < len(self._words) else 0

    def _field(self, where: _Where, field: Field, scope: dict[str, Any]) -> Any:
        kind = field.kind
        if isinstance(kind, Part):
            return self._part(where, field, kind, scope)
        if isinstance(kind, Array):
            return self._array(where, kind, scope)
        if isinstance(kind, Word64):
            low = self._word() & 0xFFFFFFFF
            value = (self._word() << 32) + low
            if not 0 <= value < 1 << kind.bits:
                raise where.fault(value, f"0 .. 2**{kind.bits}", kind.status)
            return value
        assert isinstance(kind, Word)
        return field.type(self._bounded(where, kind, scope))

    def _bounded(self, where: _Where, kind: Word, scope: dict[str, Any]) -> int:
        value = self._word()
        if kind.choices:
            if value not in kind.choices:
                raise where.fault(value, f"one of {kind.choices}", kind.status)
            return value
        low, high = (b if isinstance(b, int) else evaluate(b, scope) for b in (kind.low, kind.high))
        if not low <= value <= high:
            raise where.fault(value, f"{low} .. {high}", kind.status)
        return value

    def _part(self, where: _Where, field: Field, kind: Part, scope: dict[str, Any]) -> Any:
        if kind.present and not evaluate(kind.present, scope):
            for _ in range(words_of(field.type)):
                if word := self._word():
                    raise where.fault(word, "0 in a part that is absent", Status.BAD_VALUE)
            return None
        arguments = {name: evaluate(text, scope) for name, text in kind.arguments.items()}
        return self.struct(field.type, **arguments)

    def _array(self, where: _Where, kind: Array, scope: dict[str, Any]) -> NDArray[Any] | None:
        offset = self._word()
        if kind.present and not evaluate(kind.present, scope):
            if offset:
                raise where.fault(offset, "0 for an array that is absent", Status.BAD_VALUE)
            return None
        shape = tuple(evaluate(part, scope) for part in kind.shape)
        count, dtype = evaluate(kind.count, scope), element_dtype(kind.element, scope)
        end = offset + count * dtype.itemsize
        if offset < 0 or offset % 4 or end > len(self._blob):
            raise OptionsError(
                f"{where}: got a blob offset of {offset} and shape {shape}, expected a multiple of "
                f"4 and an end <= {len(self._blob)} bytes",
                Status.BAD_OFFSET,
            )
        values = np.frombuffer(self._blob, dtype, count, offset).reshape(shape)
        return values if kind.codec is None else kind.codec.decode(values, scope)


def _lookup(scope: dict[str, Any], name: str) -> Any:
    first, *rest = name.split(".")
    value = scope[first]
    for attribute in rest:
        value = getattr(value, attribute)
    return value


def _check(struct: type[Struct], check: Check | Predicate, scope: dict[str, Any]) -> None:
    if isinstance(check, Check):
        if not evaluate(check.condition, scope):
            got = {n: _lookup(scope, n) for n in names(check.condition) if n not in LIMITS}
            facts = ", ".join(f"{name} {value}" for name, value in got.items())
            raise OptionsError(
                f"{struct.__name__}: got {facts}, expected {check.condition}", check.status
            )
        return
    if check.condition and not evaluate(check.condition, scope):
        return
    if not check.function(*(_lookup(scope, name) for name in check.arguments)):
        raise OptionsError(
            f"{struct.__name__}: got a bad {check.arguments[0]}, expected {check.expected}",
            check.status,
        )
