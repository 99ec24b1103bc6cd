# SPDX-License-Identifier: Apache-2.0
"""Changes the bytes of a `.tflite`: offsets, vtables, lengths, alignment, the ends of the file."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

Rng = random.Random
_DELTAS = (-8, -4, -2, -1, 1, 2, 4, 8)
_WORDS = (0, 1, 2, 3, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)


def one_bit(rng: Rng, content: bytes) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def one_byte(rng: Rng, content: bytes) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def word(rng: Rng, content: bytes) -> bytes:
    """An offset, a length or a value: another number, or one near it."""
    at = rng.randrange(len(content) // 4) * 4
    (old,) = struct.unpack_from("<I", content, at)
    near = [(old + delta) % (1 << 32) for delta in _DELTAS]
    new = rng.choice((*_WORDS, len(content), len(content) - at, *near))
    return content[:at] + struct.pack("<I", new) + content[at + 4 :]


def half(rng: Rng, content: bytes) -> bytes:
    """An entry of a vtable: a size or a field's place."""
    at = rng.randrange(len(content) // 2) * 2
    (old,) = struct.unpack_from("<H", content, at)
    new = rng.choice((0, 2, 4, 0xFFFF, *((old + delta) % (1 << 16) for delta in _DELTAS)))
    return content[:at] + struct.pack("<H", new) + content[at + 2 :]


def moved(rng: Rng, content: bytes) -> bytes:
    """All tables some bytes further: they may lose their alignment."""
    (root,) = struct.unpack_from("<I", content)
    by = rng.choice((1, 2, 4, 8, 16))
    return struct.pack("<I", root + by) + content[4:8] + bytes(by) + content[8:]


def truncated(rng: Rng, content: bytes) -> bytes:
    return content[: rng.choice((rng.randrange(len(content)), len(content) - rng.randrange(1, 9)))]


def appended(rng: Rng, content: bytes) -> bytes:
    return content + rng.choice((b"\0", b"PK\x05\x06" + bytes(18), rng.randbytes(40)))


def without(rng: Rng, content: bytes) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.choice((1, 4, 16)) :]


def copied(rng: Rng, content: bytes) -> bytes:
    """A stretch of the file over another."""
    size = rng.choice((4, 8, 16, 64))
    source, target = (rng.randrange(max(1, len(content) - size)) // 4 * 4 for _ in range(2))
    changed = bytearray(content)
    changed[target : target + size] = content[source : source + size]
    return bytes(changed)


MUTATIONS: tuple[Callable[[Rng, bytes], bytes], ...] = (
    *(one_bit, one_byte, word, word, half, half, moved, truncated, appended, without, copied),
)
