# SPDX-License-Identifier: Apache-2.0
"""An operator's serialized form: the custom options and the constant blob of a `.tflite`.

docs/operators.md, Encoding.
"""

from __future__ import annotations

import struct

import numpy as np

from tflm_custom_ops.exact_sums import is_exact
from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import Linear
from tflm_custom_ops.ops.registry import BY_KIND, operator_of
from tflm_custom_ops.ops.schema import OptionsError, Status, fields_of
from tflm_custom_ops.ops.schema.reading import WordReader
from tflm_custom_ops.ops.schema.struct import parts_of, word_offset
from tflm_custom_ops.ops.schema.writing import Writer

MAGIC = 0x31544956  # "VIT1" little-endian
VERSION = 4
HEADER_WORDS = 4  # magic, kind, version, total words


def encode(params: Params) -> tuple[bytes, bytes]:
    """Serializes an operator.

    Returns:
      ``(custom_options, blob)``: int32 words, and the constant tensor's bytes (a multiple of 16).
    """
    writer = Writer()
    writer.struct(params)
    kind = operator_of(params).KIND
    words = [MAGIC, kind, VERSION, HEADER_WORDS + len(writer.words), *writer.words]
    return struct.pack(f"<{len(words)}i", *words), writer.blob


def decode(custom_options: bytes, blob: bytes) -> Params:
    """Reads an operator back: `parse`, the sums of every layer are exact, and none overflows.

    The rest needs all weights, so that it is no part of the parser. TFLM's operators check the sums
    of layers once, while they prepare; whatever writes, compiles or runs a file here checks all.

    Raises:
      OptionsError: malformed; the message says what was got and expected.
    """
    params = parse(custom_options, blob)
    for linear in parts_of(params, Linear):
        _check_sums(linear)
    operator_of(params).check_bounds()
    return params


def _check_sums(p: Linear) -> None:
    """Sums that do not come apart are wrong on some cores, and none of them would say so."""
    if int(p.weights.min()) < -127:
        raise OptionsError(
            "linear: got a weight of -128, expected [-127, 127]; fuse the model again",
            Status.BAD_SUMS,
        )
    if not is_exact(p.weights, p.bias, p.k_block):
        raise OptionsError(
            f"linear of {p.out_features} x {p.in_features}: got k_block {p.k_block}, whose sums "
            "can leave 24 bits; fuse the model again",
            Status.BAD_SUMS,
        )


def parse(custom_options: bytes, blob: bytes, kind: int | None = None) -> Params:
    """What `vit_parse_*` does: the same rules, the same status.

    Args:
      kind: the operator that it must be; None takes any.

    Raises:
      OptionsError: malformed; the message says what was got and expected, the status is that of
        the C parser.
    """
    if len(custom_options) < 4 * HEADER_WORDS or len(custom_options) % 4:
        raise OptionsError(
            f"options: got {len(custom_options)} bytes, expected a multiple of 4 and at least "
            f"{4 * HEADER_WORDS}",
            Status.TRUNCATED,
        )
    words = np.frombuffer(custom_options, "<i4")
    magic, found, version, count = (int(w) for w in words[:HEADER_WORDS])
    if magic != MAGIC:
        raise OptionsError(f"options: got magic {magic:#x}, expected {MAGIC:#x}", Status.BAD_MAGIC)
    if found not in (BY_KIND if kind is None else (kind,)):
        expected = f"one of {sorted(BY_KIND)}" if kind is None else str(kind)
        raise OptionsError(
            f"options: got operator kind {found}, expected {expected}", Status.BAD_KIND
        )
    if version != VERSION:
        raise OptionsError(
            f"options: got version {version}, expected {VERSION}; fuse the model again",
            Status.BAD_VERSION,
        )
    if count != len(words):
        raise OptionsError(f"options: got {len(words)} words, expected {count}", Status.TRUNCATED)
    reader = WordReader(words, blob, HEADER_WORDS)
    params = reader.struct(BY_KIND[found].PARAMS)
    reader.done()
    return params


def with_schedule(custom_options: bytes, params: Params) -> bytes:
    """The options with the schedule of ``params``; offsets into the blob stay as they are."""
    words = bytearray(custom_options)
    for field in fields_of(type(params)):
        if field.kind.schedule:
            position = HEADER_WORDS + word_offset(type(params), field.name)
            struct.pack_into("<i", words, 4 * position, getattr(params, field.name))
    return bytes(words)
