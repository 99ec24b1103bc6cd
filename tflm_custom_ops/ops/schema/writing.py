# SPDX-License-Identifier: Apache-2.0
"""Serializes parameters: option words and the constant blob."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.schema.expression import evaluate
from tflm_custom_ops.ops.schema.fields import ELEMENTS, Array, Part, Word64
from tflm_custom_ops.ops.schema.limits import LIMITS
from tflm_custom_ops.ops.schema.residual import residual_type
from tflm_custom_ops.ops.schema.struct import Field, Struct, fields_of, read_ahead, words_of

BLOB_ALIGNMENT = 16  # bytes, of arrays in the blob


def element_dtype(element: str, scope: Mapping[str, Any]) -> np.dtype[Any]:
    """NumPy type of an array's elements as `Array.element` names it."""
    if not element.startswith("bits:"):
        return np.dtype(ELEMENTS[element])
    bits = evaluate(element.removeprefix("bits:"), scope)
    return np.dtype(residual_type(bits).dtype)


def _scope(value: Struct) -> dict[str, Any]:
    """What the first field's expressions may name."""
    ahead = {field.name: getattr(value, field.name) for field in read_ahead(type(value))}
    return {**LIMITS, **ahead}


class Writer:
    """Collects option words and the blob."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self._blob = bytearray()
        self._offsets: dict[bytes, int] = {}

    @property
    def blob(self) -> bytes:
        """The constant tensor so far, a multiple of 16 bytes."""
        return bytes(self._blob) + b"\0" * (-len(self._blob) % BLOB_ALIGNMENT)

    def struct(self, value: Struct) -> None:
        """Appends a struct's words and puts its arrays into the blob."""
        scope = _scope(value)
        for field in fields_of(type(value)):
            content = getattr(value, field.name)
            self._field(field, content, scope)
            scope[field.name] = content

    def _field(self, field: Field, content: Any, scope: Mapping[str, Any]) -> None:
        kind = field.kind
        if isinstance(kind, Part):
            if content is None:
                self.words += [0] * words_of(field.type)
            else:
                self.struct(content)
        elif isinstance(kind, Array):
            self._array(kind, content, scope)
        elif isinstance(kind, Word64):
            self.words += [_signed(int(content) & 0xFFFFFFFF), int(content) >> 32]
        else:
            self.words.append(int(content))

    def _array(self, kind: Array, content: Any, scope: Mapping[str, Any]) -> None:
        """Equal arrays are stored once: the ``down`` that q, k and v share, one scale for all."""
        if content is None:
            self.words.append(0)
            return
        data = stored(kind, content, scope).tobytes()
        if data not in self._offsets:
            self._blob.extend(b"\0" * (-len(self._blob) % BLOB_ALIGNMENT))
            self._offsets[data] = len(self._blob)
            self._blob.extend(data)
        self.words.append(self._offsets[data])


def stored(kind: Array, content: NDArray[Any], scope: Mapping[str, Any]) -> NDArray[Any]:
    """An array as the blob holds it."""
    if kind.codec is not None:
        content = kind.codec.encode(content, scope)
    dtype = np.dtype(content.dtype)
    wanted = element_dtype(kind.element, scope)
    return np.ascontiguousarray(content if dtype == wanted else content.astype(wanted))


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


def stored_fields(value: Struct) -> dict[str, NDArray[Any]]:
    """A struct's own arrays, those that are present, as the blob holds them."""
    found = {}
    scope = _scope(value)
    for field in fields_of(type(value)):
        content = scope[field.name] = getattr(value, field.name)
        if isinstance(field.kind, Array) and content is not None:
            found[field.name] = stored(field.kind, content, scope)
    return found


def arrays_of(value: Struct) -> Iterator[tuple[Array, NDArray[Any]]]:
    """Every array of a struct and of its parts as the blob holds it, equal ones each time."""
    stored = stored_fields(value)
    for field in fields_of(type(value)):
        content = getattr(value, field.name)
        if isinstance(content, Struct):
            yield from arrays_of(content)
        elif field.name in stored:
            assert isinstance(field.kind, Array)
            yield field.kind, stored[field.name]


def stored_bytes(value: Struct) -> list[int]:
    """Bytes of each array that the blob holds, in order, equal ones counted each time."""
    sizes: list[int] = []
    scope = _scope(value)
    for field in fields_of(type(value)):
        content = scope[field.name] = getattr(value, field.name)
        kind = field.kind
        if isinstance(kind, Part):
            sizes += [] if content is None else stored_bytes(content)
        elif isinstance(kind, Array) and content is not None:
            count = evaluate(kind.count, scope)
            sizes.append(count * element_dtype(kind.element, scope).itemsize)
    return sizes
