# SPDX-License-Identifier: Apache-2.0
"""Runs an operator through the C kernels and the reference, with every buffer watched.

Used by the tests here, and as a program by the sanitizer test:
``python comparison.py LIBRARY FIRST_SEED COUNT KIND...`` and ``... fuzz-KIND...``;
``edges`` among the kinds adds what random operators seldom have.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np

from tests.tflm_custom_ops import extreme_sums, generators
from tflm_custom_ops.host_library import (
    PARAMS_BYTES,
    HostLibrary,
    aligned_bytes,
)
from tflm_custom_ops.ops import (
    OpKind,
    OptionsError,
    Params,
    Pool,
    encode,
    operator_of,
    parse,
    run_reference,
)

GUARD = 64  # bytes before and after each buffer
CANARY = 0xA5


class Guarded:
    """A buffer of exactly ``size`` bytes between two canaries, at a multiple of 16."""

    def __init__(self, size: int, fill: int = 0x5A) -> None:
        self._memory = aligned_bytes(size + 2 * GUARD)
        self._memory[:] = CANARY
        self.bytes = self._memory[GUARD : GUARD + size]
        self.bytes[:] = fill

    def check(self, what: str) -> None:
        size = self.bytes.size
        guards = np.concatenate([self._memory[:GUARD], self._memory[GUARD + size :]])
        if not (guards == CANARY).all():
            raise AssertionError(f"{what}: the kernel wrote outside its {size} bytes")


def can_alias(op: Params) -> bool:
    """Whether y may equal the first input (kernels/vit_kernels.h)."""
    return operator_of(op).in_place


Inputs = np.ndarray | tuple[np.ndarray, ...]


def as_tuple(x: Inputs) -> tuple[np.ndarray, ...]:
    """The inputs of an operator; most have one."""
    return x if isinstance(x, tuple) else (x,)


def run_guarded(library: HostLibrary, op: Params, x: Inputs, *, alias: bool, fill: int):
    """The kernel's result; raises AssertionError if it touched memory that is not its own."""
    parsed = library.parse(op)
    if parsed.scratch_bytes != operator_of(op).scratch_bytes:
        raise AssertionError(
            f"scratch: got {parsed.scratch_bytes} bytes in C, {operator_of(op).scratch_bytes} in "
            "Python"
        )
    xs = as_tuple(x)
    shape, dtype = operator_of(op).output_shape(xs[0].shape), operator_of(op).output.dtype
    size = int(np.prod(shape)) * dtype.itemsize
    sources, work = [Guarded(a.nbytes) for a in xs], Guarded(parsed.scratch_bytes, fill)
    for source, a in zip(sources, xs, strict=True):
        source.bytes[:] = np.ascontiguousarray(a).view(np.uint8).ravel()
    target = sources[0] if alias else Guarded(size, fill)
    views = [source.bytes.view(a.dtype) for source, a in zip(sources, xs, strict=True)]
    library.call(parsed, views, target.bytes, work.bytes)
    for buffer, what in (*((s, "x") for s in sources), (target, "y"), (work, "scratch")):
        buffer.check(what)
    for i, (source, a) in enumerate(zip(sources, xs, strict=True)):
        kept = source.bytes.tobytes() == np.ascontiguousarray(a).tobytes()
        if not kept and not (alias and i == 0):
            raise AssertionError(f"input {i}: the kernel changed it")
    return target.bytes[:size].copy().view(dtype).reshape(shape)


def mismatches(library: HostLibrary, op: Params, x: Inputs, rng: np.random.Generator) -> int:
    """Values that differ from the reference: as given, in place, and with another schedule."""
    expected = run_reference(op, *as_tuple(x))
    other = generators.with_schedule(op, rng)
    results = [
        run_guarded(library, op, x, alias=False, fill=int(rng.integers(0, 256))),
        run_guarded(library, other, x, alias=can_alias(op), fill=int(rng.integers(0, 256))),
    ]
    if operator_of(op).streaming is not None:
        (image,) = as_tuple(x)
        results.append(library.embed_strips(library.parse(op), image))
    return sum(int((y != expected).sum()) for y in results)


def mismatches_of_seed(library: HostLibrary, kind: OpKind, seed: int) -> int:
    """:func:`mismatches` of one random operator; odd seeds draw extreme parameters."""
    rng = np.random.default_rng(seed)
    extreme = bool(seed % 2)
    op = generators.random_op(kind, rng, extreme=extreme)
    x = generators.random_inputs(op, rng, extreme=extreme)
    return mismatches(library, op, x, rng) + differs_in_exact_memory(library, op, x)


def differs_in_exact_memory(library: HostLibrary, op: Params, x: tuple[np.ndarray, ...]) -> bool:
    """Runs with every buffer in a heap block of its own size: a sanitizer sees each overrun."""
    parsed = library.parse_bytes(op, *(exact(part) for part in encode(op)))
    y = np.empty(operator_of(op).output_shape(x[0].shape), operator_of(op).output.dtype)
    library.call(parsed, [a.copy() for a in x], y, np.empty(parsed.scratch_bytes, np.uint8))
    return not np.array_equal(y, run_reference(op, *x))


def rows_without_variance(library: HostLibrary) -> int:
    """Mismatches of a LayerNorm of tokens whose values are one, or all but one; without epsilon.

    What the kernels compute there is defined only because a variance of 0 counts as 1.
    """
    rng, wrong = np.random.default_rng(0), 0
    for bits in (8, 16):
        op = generators.layer_norm(rng, tokens=4, embed_dim=7, bits=bits, pool=Pool.NONE)
        op = dataclasses.replace(op, norm=dataclasses.replace(op.norm, epsilon=0))
        x = np.repeat(np.array([[-128], [0], [127], [5]]), 7, axis=1)
        x[3, 2] += 1
        wrong += mismatches(library, op, x.astype(f"int{bits}"), rng)
    return wrong


EDGES = "edges"
INTERESTING = [0, 1, 2, 3, -1, -128, 127, 255, 256, 4096, 1 << 16, (1 << 31) - 1, -(1 << 31)]


def mutate(options: bytes, blob: bytes, rng: np.random.Generator) -> tuple[bytes, bytes]:
    """A few words changed, bytes cut off, or blob bytes replaced."""
    words = np.frombuffer(options, np.int32).copy()
    data = np.frombuffer(blob, np.uint8).copy()
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(words)))
        choice = rng.integers(0, 6)
        if choice < 3:
            words[at] = rng.choice(INTERESTING)
        elif choice == 3:
            words[at] = np.int32(int(words[at]) ^ (1 << int(rng.integers(0, 31))))
        elif choice == 4 and data.size:
            where = rng.integers(0, data.size, 8)
            data[where] = rng.integers(0, 256, 8)
        else:
            words[at] = np.clip(int(words[at]) + int(rng.integers(-2, 3)), -(1 << 31), 2**31 - 1)
    if rng.random() < 0.1:
        words = words[: int(rng.integers(0, len(words) + 1))]
        if len(words) > 3:
            words[3] = len(words)
    if rng.random() < 0.1:
        data = data[: int(rng.integers(0, data.size + 1))]
    return words.tobytes(), data.tobytes()


def exact(data: bytes) -> np.ndarray:
    """A copy in a heap block of exactly that size, so that a sanitizer sees each overrun."""
    block = np.empty(len(data), np.uint8)
    if len(data) and block.ctypes.data % 16:
        raise AssertionError("the allocator does not align to 16 bytes")
    block[:] = np.frombuffer(data, np.uint8)
    return block


def fuzz_seed(library: HostLibrary, kind: OpKind, seed: int) -> bool:
    """Parses a mutated operator and, if it is accepted, runs it; returns whether it was."""
    rng = np.random.default_rng(seed)
    good = encode(generators.random_op(kind, rng))
    options, blob = (exact(part) for part in mutate(*good, rng))
    params = aligned_bytes(PARAMS_BYTES)
    status, message = library.parse_into(kind, options, blob, params)
    assert message
    if status:
        return False
    try:
        # Whether sums can leave 24 bits is for whoever writes or compiles a file; a device that
        # runs one that breaks the rule gives wrong numbers, and must do nothing worse.
        op = parse(options.tobytes(), blob.tobytes())
    except OptionsError as error:
        raise AssertionError(f"seed {seed}: C accepts what decode refuses: {error}") from error
    parsed = library.parse_bytes(op, options, blob)
    operator = operator_of(op)
    counts = [tensor.count or 77 for tensor in (*operator.inputs, operator.output)]
    if parsed.scratch_bytes > 1 << 22 or max(counts) > 1 << 16:
        return True  # valid, but too long to run in a test
    xs = []
    for count, tensor in zip(counts, operator.inputs, strict=False):
        x = np.empty(count, tensor.dtype)
        x[:] = rng.integers(-128, 128, count)
        xs.append(x)
    y = np.empty(operator.output_shape(xs[0].shape), operator.output.dtype)
    library.call(parsed, xs, y, np.empty(parsed.scratch_bytes, np.uint8))
    return True


def _wrong_sums(library: HostLibrary, first: int, count: int) -> list[int]:
    """Seeds of layers with sums next to 2**23 that are not the reference's."""
    wrong = []
    for seed in range(first, first + count):
        op, x = extreme_sums.random_case(np.random.default_rng(seed))
        if not np.array_equal(library.run(op, x), run_reference(op, x)):
            wrong.append(seed)
    return wrong


def main() -> int:
    path, first, count, *names = sys.argv[1:]
    library = HostLibrary(Path(path))
    if EDGES in names and (wrong := rows_without_variance(library)):
        print(f"{EDGES}: {wrong} values differ")
        return 1
    if extreme_sums.NAME in names and (wrong := _wrong_sums(library, int(first), int(count))):
        print(f"{extreme_sums.NAME}: seeds {wrong[:5]} differ")
        return 1
    for name in (name for name in names if name not in (EDGES, extreme_sums.NAME)):
        kind = OpKind[name.removeprefix("fuzz-")]
        accepted = 0
        for seed in range(int(first), int(first) + int(count)):
            if name.startswith("fuzz-"):
                accepted += fuzz_seed(library, kind, seed)
            elif wrong := mismatches_of_seed(library, kind, seed):
                print(f"{name} seed {seed}: {wrong} values differ")
                return 1
        print(f"{name}: accepted {accepted}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
