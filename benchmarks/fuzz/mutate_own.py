# SPDX-License-Identifier: Apache-2.0
"""Changes what this toolkit adds to a `.tflite`: options and blobs of fused operators, both entries
of a memory plan, the contract of input and output."""

from __future__ import annotations

import random
import struct
from typing import Any

Rng = random.Random
_DELTAS = (-64, -16, -4, -1, 1, 4, 16, 64)
_WORDS = (0, 1, 2, 7, -1, -2, 255, 1 << 16, 1 << 30, (1 << 31) - 1, -(1 << 31))


def _custom(rng: Rng, tree: Any) -> Any:
    """An operator with options of its own, or None."""
    ops = tree.subgraphs[0].operators
    found = [op for op in ops if op.customOptions is not None and len(op.customOptions) >= 4]
    return rng.choice(found) if found else None


def _changed(rng: Rng, data: Any) -> list[int]:
    """One word, a cut, or a few bytes more."""
    content = bytes(bytearray(data))
    action = rng.random()
    if action < 0.1:
        return list(content[: rng.randrange(len(content))])
    if action < 0.15:
        return list(content + bytes(rng.choice((1, 4, 8))))
    at = rng.randrange(max(1, len(content) // 4)) * 4
    word = content[at : at + 4].ljust(4, b"\0")
    (old,) = struct.unpack("<i", word)
    near = [((old + delta + (1 << 31)) % (1 << 32)) - (1 << 31) for delta in _DELTAS]
    new = struct.pack("<i", rng.choice((*_WORDS, *near, *near)))
    return list(content[:at] + new + content[at + 4 :])


def options_word(rng: Rng, tree: Any) -> None:
    op = _custom(rng, tree)
    if op is not None:
        op.customOptions = _changed(rng, op.customOptions)


def options_swapped(rng: Rng, tree: Any) -> None:
    """One operator has another's options."""
    one, other = _custom(rng, tree), _custom(rng, tree)
    if one is not None:
        one.customOptions, other.customOptions = other.customOptions, one.customOptions


def blob_word(rng: Rng, tree: Any) -> None:
    op = _custom(rng, tree)
    if op is None:
        return
    tensors = [tree.subgraphs[0].tensors[i] for i in op.inputs if i >= 0]
    filled = [b for t in tensors if len((b := tree.buffers[t.buffer]).data or ())]
    if filled:
        buffer = rng.choice(filled)
        buffer.data = _changed(rng, buffer.data)


def _entry(rng: Rng, tree: Any) -> Any:
    """A metadata entry with data, or None."""
    found = [m for m in tree.metadata or () if len(tree.buffers[m.buffer].data or ())]
    return rng.choice(found) if found else None


def plan_word(rng: Rng, tree: Any) -> None:
    entry = _entry(rng, tree)
    if entry is not None:
        tree.buffers[entry.buffer].data = _changed(rng, tree.buffers[entry.buffer].data)


def plan_lost(rng: Rng, tree: Any) -> None:
    """One of the entries is gone, or there twice."""
    entry = _entry(rng, tree)
    if entry is None:
        return
    if rng.random() < 0.7:
        tree.metadata.remove(entry)
    else:
        tree.metadata.append(entry)


MUTATIONS = (
    options_word,
    options_word,
    options_swapped,
    blob_word,
    plan_word,
    plan_word,
    plan_lost,
)
