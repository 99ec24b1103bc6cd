# SPDX-License-Identifier: Apache-2.0
"""How a layer's weights are stored (docs/operators.md, Weight layouts)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.schema import OptionsError, Struct, fields_of
from tflm_custom_ops.ops.schema.fields import Codec
from tflm_custom_ops.ops.schema.writing import stored_fields

Int8Array = NDArray[np.int8]


class WeightLayout(enum.IntEnum):
    """Bits of a weight times the order of the weights; the values are part of the file format.

    Pairs and quads (of channels) suit SMLAD, rows suit Helium. A file has PAIRS8 and QUADS4; the
    parsers refuse the others. Compiling for a core with Helium makes rows of both (`rows_of`).
    """

    PAIRS8 = 0
    ROWS8 = 1
    QUADS4 = 2
    ROWS4 = 3

    @property
    def bits(self) -> int:
        """Of a weight."""
        return 8 if self in (WeightLayout.PAIRS8, WeightLayout.ROWS8) else 4

    @property
    def channels(self) -> int:
        """That are stored together: a layer's first channel of a call begins such a group."""
        return 4 if self is WeightLayout.QUADS4 else 2


# The C function that reads a layout, or its rows (kernels/vit_weights.h); that of 8 bits is built
# into the core.
KERNEL_OF = {WeightLayout.QUADS4: "vit_quads4"}
UNIT4 = 16  # a weight of 4 bits is so many times its number
MAX4 = 7  # numbers of 4 bits are in [-MAX4, MAX4]


def is_small(weights: NDArray[Any]) -> bool:
    """Whether these numbers are those of weights of 4 bits; not if all are 0."""
    return 0 < int(np.abs(weights.astype(np.int16)).max(initial=0)) <= MAX4


def pack_dual_channel(weights: Int8Array) -> NDArray[np.int16]:
    """Packs int8 ``[n, k]`` into int16 ``[(n + 1) // 2, k rounded up to even]``.

    packed[p][k] = w[2p][k] + 256 * w[2p + 1][k] (docs/operators.md, Linear).
    """
    n, k = weights.shape
    if weights.size and int(weights.min()) < -127:
        raise OptionsError("weights: got -128, expected values in [-127, 127]")
    wide = np.zeros(((n + 1) // 2 * 2, (k + 1) // 2 * 2), np.int16)
    wide[:n, :k] = weights
    packed: NDArray[np.int16] = (wide[0::2] + 256 * wide[1::2]).astype(np.int16)
    return packed


def unpack_dual_channel(packed: NDArray[np.int16], n: int, k: int) -> Int8Array:
    """Inverse of :func:`pack_dual_channel`."""
    low = packed.astype(np.int8)  # wraps to the sign-extended low byte
    weights = np.empty((packed.shape[0] * 2, packed.shape[1]), np.int8)
    weights[0::2] = low
    # (packed - low) / 256: where the low byte is negative, packed >> 8 is one less.
    np.add((packed >> 8).astype(np.int8), low < 0, out=weights[1::2])
    return np.ascontiguousarray(weights[:n, :k])


ROW_ALIGNMENT = 4  # bytes; Helium's loads of words
_READ_BEHIND = 16  # bytes; a load may begin at a row's last input


def pack_rows(weights: Int8Array) -> Int8Array:
    """Rows for Helium: int8 ``[n, k]`` -> int8 ``[n rounded up to even][k rounded up to 4]``, flat.

    Behind the last row there are 16 bytes more, which the kernels read and do not use.
    """
    n, k = weights.shape
    rows = np.zeros((-(-n // 2) * 2, -(-k // ROW_ALIGNMENT) * ROW_ALIGNMENT), np.int8)
    rows[:n, :k] = weights
    return np.concatenate([rows.reshape(-1), np.zeros(_READ_BEHIND, np.int8)])


def pack_rows_4(weights: Int8Array) -> Int8Array:
    """Rows of two channels for Helium: multiples of 16, int8 ``[n, k]`` -> int8 ``[(n + 1) // 2][k
    rounded up to 4]``, flat, and 16 bytes more as behind rows of 8 bits.

    rows[p][k] = w[2p][k] / 16 + w[2p + 1][k] (docs/operators.md, Weight layouts).
    """
    n, k = weights.shape
    numbers = _numbers(weights)
    wide = np.zeros((-(-n // 2) * 2, -(-k // ROW_ALIGNMENT) * ROW_ALIGNMENT), np.int8)
    wide[:n, :k] = numbers
    rows = (wide[0::2] + UNIT4 * wide[1::2]).astype(np.int8)
    return np.concatenate([rows.reshape(-1), np.zeros(_READ_BEHIND, np.int8)])


def rows_of(layer: Any) -> Int8Array:
    """What a core with Helium has of the weights of a layer (`Linear`) in pairs or quads."""
    return pack_rows(layer.weights) if layer.layout.bits == 8 else pack_rows_4(layer.weights)


def arrays_for(value: Struct, rows: bool) -> dict[str, NDArray[Any]]:
    """A struct's own arrays as a core reads them.

    Args:
      rows: the core has Helium; weights of layers are in rows there.
    """
    found = stored_fields(value)
    for field in fields_of(type(value)):
        if rows and field.kind.follows_layout and field.name in found:
            found[field.name] = rows_of(value)
    return found


def _numbers(weights: Int8Array) -> NDArray[np.int16]:
    """Of weights of 4 bits."""
    numbers: NDArray[np.int16] = weights.astype(np.int16) // UNIT4
    wrong = (numbers * UNIT4 != weights) | (np.abs(numbers) > MAX4)
    if wrong.any():
        raise OptionsError(
            f"weights of 4 bits: got {int(weights[wrong][0])}, expected multiples of {UNIT4} in "
            f"[{-UNIT4 * MAX4}, {UNIT4 * MAX4}]"
        )
    return numbers


def pack_quads(weights: Int8Array) -> NDArray[np.int16]:
    """Packs multiples of 16, int8 ``[n, k]``, into int16 ``[(n + 3) // 4, k rounded up to even]``.

    Bits 4i .. 4i + 3 of packed[q][k] are w[4q + i][k] / 16 (docs/operators.md, Weight layouts).
    """
    n, k = weights.shape
    numbers = _numbers(weights)
    wide = np.zeros((-(-n // 4) * 4, (k + 1) // 2 * 2), np.uint16)
    wide[:n, :k] = numbers & 15
    packed = wide[0::4] | wide[1::4] << 4 | wide[2::4] << 8 | wide[3::4] << 12
    signed: NDArray[np.int16] = packed.astype(np.uint16).view(np.int16)
    return signed


def unpack_quads(packed: NDArray[np.int16], n: int, k: int) -> Int8Array:
    """Inverse of :func:`pack_quads`."""
    words = packed.astype(np.uint16)
    weights = np.empty((packed.shape[0] * 4, packed.shape[1]), np.int8)
    for i in range(4):
        weights[i::4] = (words >> 4 * i << 4 & 0xF0).astype(np.uint8).view(np.int8)
    return np.ascontiguousarray(weights[:n, :k])


def _pack(weights: NDArray[Any], fields: Mapping[str, Any]) -> NDArray[Any]:
    is_pairs = fields["layout"] == WeightLayout.PAIRS8
    return pack_dual_channel(weights) if is_pairs else pack_quads(weights)


def _unpack(packed: NDArray[Any], fields: Mapping[str, Any]) -> NDArray[Any]:
    # Any other layout is refused once its word is read, behind this one.
    unpack = unpack_dual_channel if fields["layout"] == WeightLayout.PAIRS8 else unpack_quads
    return unpack(packed, fields["out_features"], fields["in_features"])


BY_LAYOUT = Codec(_pack, _unpack, follows_layout=True)
