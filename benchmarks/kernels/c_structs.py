# SPDX-License-Identifier: Apache-2.0
"""An operator's parameters as the C struct in the memory of a 32-bit core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from converter.compile.weights import WeightOrder
from tflm_custom_ops.ops.layouts import arrays_for
from tflm_custom_ops.ops.schema import Array, Field, Part, Struct, Word, Word64, fields_of

Place = Callable[[NDArray[Any]], int]
AddressOf = Callable[[str], int]  # of a function, with the Thumb bit


def _size(struct: type[Struct]) -> tuple[int, int]:
    """Bytes of a struct and its alignment."""
    at, alignment = 0, 4
    for field in fields_of(struct):
        size, own = _field_size(field)
        at = -(-at // own) * own + size
        alignment = max(alignment, own)
    return -(-at // alignment) * alignment, alignment


def _field_size(field: Field) -> tuple[int, int]:
    if isinstance(field.kind, Part):
        return _size(field.type)
    return (8, 8) if isinstance(field.kind, Word64) else (4, 4)


def c_struct(
    value: Struct,
    place: Place,
    address_of: AddressOf,
    order: WeightOrder = WeightOrder.PAIRS,
) -> bytes:
    """The struct's bytes.

    Args:
      place: puts an array into the core's memory and gives its address.
      order: rows for the Helium kernels.
    """
    stored = arrays_for(value, order is WeightOrder.ROWS)
    content = bytearray(_size(type(value))[0])
    at = 0
    for field in fields_of(type(value)):
        size, own = _field_size(field)
        at = -(-at // own) * own
        member = getattr(value, field.name)
        content[at : at + size] = _member(field, member, stored, place, address_of, order, size)
        at += size
    return bytes(content)


def _member(
    field: Field,
    content: Any,
    stored: dict[str, NDArray[Any]],
    place: Place,
    address_of: AddressOf,
    order: WeightOrder,
    size: int,
) -> bytes:
    if content is None and not isinstance(field.kind, Array):
        return bytes(size)
    if isinstance(field.kind, Part):
        return c_struct(content, place, address_of, order)
    if isinstance(field.kind, Array):
        array = stored.get(field.name)
        if array is None:
            return bytes(size)
        return place(array).to_bytes(4, "little")
    if isinstance(field.kind, Word) and field.kind.function is not None:
        function = field.kind.function.names.get(int(content))
        if function is None:
            return bytes(size)
        return address_of(function).to_bytes(size, "little")
    return int(content).to_bytes(size, "little", signed=True)
