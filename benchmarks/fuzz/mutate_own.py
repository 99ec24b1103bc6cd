# SPDX-License-Identifier: Apache-2.0
"""Changes what this toolkit adds to a `.tflite`: options and blobs of fused operators, both entries
of a memory plan, the contract of input and output."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

from converter.plan.metadata import PLAN_NAME, fingerprint
from converter.plan.offline import OFFLINE_NAME
from converter.tflite import TfliteError, parse

Rng = random.Random
_HEADER_WORDS, _FINGERPRINT_WORD, _ARENA_WORD, _OFFLINE_HEADER_WORDS = 10, 3, 4, 3
_DELTAS = (-64, -16, -4, -1, 1, 4, 16, 64)
_WORDS = (0, 1, 2, 7, -1, -2, 255, 1 << 16, 1 << 30, (1 << 31) - 1, -(1 << 31))


def _length(buffer: Any) -> int:
    """Bytes of a buffer; its data are a list, an array or None."""
    return 0 if buffer.data is None else len(buffer.data)


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
    filled = [b for t in tensors if _length(b := tree.buffers[t.buffer])]
    if filled:
        buffer = rng.choice(filled)
        buffer.data = _changed(rng, buffer.data)


def _entry(rng: Rng, tree: Any) -> Any:
    """A metadata entry with data, or None."""
    found = [m for m in tree.metadata or () if _length(tree.buffers[m.buffer])]
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


def _named(tree: Any, name: str) -> Any:
    """The buffer of an entry, or None."""
    for entry in tree.metadata or ():
        if entry.name in (name, name.encode()) and _length(tree.buffers[entry.buffer]):
            return tree.buffers[entry.buffer]
    return None


def _words(buffer: Any) -> list[int]:
    content = bytes(bytearray(buffer.data))
    return list(struct.unpack(f"<{len(content) // 4}i", content[: len(content) // 4 * 4]))


def _store(buffer: Any, words: list[int]) -> None:
    buffer.data = list(struct.pack(f"<{len(words)}i", *words))


def plan_moved(rng: Rng, tree: Any) -> None:
    """A tensor lies elsewhere, and both entries say so."""
    own, offline = _named(tree, PLAN_NAME), _named(tree, OFFLINE_NAME)
    if own is None or offline is None:
        return
    plan, offsets = _words(own), _words(offline)
    number = rng.randrange(len(tree.subgraphs[0].tensors))
    by = rng.choice(_DELTAS)
    plan[_HEADER_WORDS + 2 * number] += by
    offsets[_OFFLINE_HEADER_WORDS + number] += by
    if rng.random() < 0.3:
        plan[_ARENA_WORD] += by
    _store(own, plan)
    _store(offline, offsets)


def plan_of_bytes(rng: Rng, tree: Any) -> None:
    """A size or an offset of the own entry by a little: arena, bound, strip, tensor or scratch."""
    own = _named(tree, PLAN_NAME)
    if own is not None:
        plan = _words(own)
        plan[rng.randrange(_ARENA_WORD, len(plan))] += rng.choice(_DELTAS)
        _store(own, plan)


def entry_text(rng: Rng, tree: Any) -> None:
    """A few bytes of an entry: of the contract, digits and names."""
    entry = _entry(rng, tree)
    if entry is None:
        return
    buffer = tree.buffers[entry.buffer]
    content = bytes(bytearray(buffer.data))
    at = rng.randrange(len(content))
    new = rng.choice((b"-", b"9" * 40, b"1e999", b"NaN", b"\0", b"\xff", b'"', b"[" * 2000, b"\n"))
    buffer.data = list(content[:at] + new + content[at + rng.choice((0, len(new))) :])


def blob_bytes(rng: Rng, tree: Any) -> None:
    """A stretch of an operator's constants: all weights, biases or factors at an end."""
    op = _custom(rng, tree)
    if op is None:
        return
    tensors = [tree.subgraphs[0].tensors[i] for i in op.inputs if i >= 0]
    filled = [b for t in tensors if _length(b := tree.buffers[t.buffer]) >= 8]
    if filled:
        buffer = rng.choice(filled)
        content = bytearray(buffer.data)
        at = rng.randrange(len(content) // 4) * 4
        size = rng.choice((4, 16, 64, 256))
        word = struct.pack("<i", rng.choice(_WORDS))
        content[at : at + size] = (word * 64)[: len(content[at : at + size])]
        buffer.data = list(content)


def plan_made_for_it(tree: Any, content: bytes, pack: Callable[[Any], bytes]) -> bytes:
    """The file with its plan's fingerprint of the changed graph: what a changer would write."""
    own = _named(tree, PLAN_NAME)
    if own is None or len(own.data) < 4 * _HEADER_WORDS:
        return content
    try:
        graph = parse(content).graph
    except TfliteError:
        return content
    plan = _words(own)
    plan[_FINGERPRINT_WORD] = fingerprint(graph)
    _store(own, plan)
    return pack(tree)


MUTATIONS = (
    *(options_word, options_word, options_swapped, blob_word, blob_bytes),
    *(plan_word, plan_moved, plan_of_bytes, plan_lost, entry_text),
)
