# SPDX-License-Identifier: Apache-2.0
"""C initializers of parameter structs, from the dataclasses that declare them.

Members are named as the dataclass's fields and stand in the same order. Arrays become pointers into
the weights image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.compile import c_text
from converter.compile.weights import WeightOrder, WeightsImage, pointer
from tflm_custom_ops.ops import HEADER_WORDS, Params
from tflm_custom_ops.ops.layouts import arrays_for
from tflm_custom_ops.ops.schema import Struct, fields_of

# Of an array: its stored form, its C element type, and its word among the options (0 without).
_Pointer = Callable[[NDArray[Any], str, int], str]


def of_options(params: Params, custom_options: bytes, blob_offset: int) -> c_text.Initializer:
    """Of a fused operator whose options `tflm_custom_ops.ops.decode` accepted.

    Args:
      blob_offset: of the operator's blob in the weights image, bytes.
    """
    words = np.frombuffer(custom_options, "<i4")

    def in_blob(values: NDArray[Any], element: str, word: int) -> str:
        return pointer(element, blob_offset + int(words[word]))

    return _struct(params, in_blob, HEADER_WORDS)


def of_values(params: Any, weights: WeightsImage) -> c_text.Initializer:
    """Of any parameter dataclass; its arrays are added to the weights image."""

    def added(values: NDArray[Any], element: str, word: int) -> str:
        return pointer(element, weights.add(np.ascontiguousarray(values).tobytes()))

    return _struct(params, added, 0, weights.order)


def _struct(
    value: Any, at: _Pointer, word: int, order: WeightOrder = WeightOrder.PAIRS
) -> c_text.Initializer:
    if isinstance(value, Struct):
        return c_text.Initializer(tuple(_declared(value, at, word, order)))
    fields = []
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        text: str | c_text.Initializer
        if isinstance(content, np.ndarray):
            text = at(content, f"{content.dtype.name}_t", 0)
        elif dataclasses.is_dataclass(content):
            text = _struct(content, at, 0, order)
        elif content is None:
            text = "NULL"
        elif isinstance(content, float):
            text = c_text.float32(content)
        elif isinstance(content, tuple):
            text = "{" + ", ".join(c_text.int32(n) for n in content) + "}"
        else:
            text = c_text.int32(int(content))
        fields.append(c_text.Designated(field.name, text))
    return c_text.Initializer(tuple(fields))


def _declared(
    value: Struct, at: _Pointer, word: int, order: WeightOrder
) -> list[c_text.Designated]:
    """Fields of the schema; parts that are absent are left out, which C sets to zero."""
    found = []
    stored = arrays_for(value, order is WeightOrder.ROWS)
    for field in fields_of(type(value)):
        content = getattr(value, field.name)
        members = _Members(stored.get(field.name), at, word, order)
        text = field.kind.member(content, members)
        if text is not None:
            found.append(c_text.Designated(field.name, text))
        word += field.words
    return found


@dataclasses.dataclass(frozen=True)
class _Members:
    """Of one field, as the schema's kinds ask for them.

    Attributes:
      stored: its array in the form of the blob; None where there is none.
      word: of its first option.
    """

    stored: NDArray[Any] | None
    at: _Pointer
    word: int
    order: WeightOrder

    def integer(self, value: int) -> str | c_text.Initializer:
        return c_text.int32(value)

    def wide_integer(self, value: int) -> str | c_text.Initializer:
        return c_text.int64(value)

    def name(self, text: str) -> str | c_text.Initializer:
        return text

    def array(self, element: str) -> str | c_text.Initializer:
        return "NULL" if self.stored is None else self.at(self.stored, element, self.word)

    def part(self, value: Struct) -> str | c_text.Initializer:
        return _struct(value, self.at, self.word, self.order)
