# SPDX-License-Identifier: Apache-2.0
"""Valid operators as inputs of the target `kernels` (tests/fuzz/fuzz_kernels.c), for libFuzzer to
start from: it does not find the options of an operator by itself, let alone the weights of 4 bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.tflm_custom_ops.generators import random_op
from tflm_custom_ops.ops import OpKind, encode

_EACH = 24  # of a kind, the extremes of their fields in a third of them
_LARGEST_BYTES = 8192  # as benchmarks.fuzz.native has libFuzzer stop


def as_input(kind: int, flags: int, options: bytes, blob: bytes) -> bytes:
    """Kind, flags, number of option words, options, blob."""
    return bytes([kind - 1, flags]) + (len(options) // 4).to_bytes(2, "little") + options + blob


def operator_inputs() -> Iterator[tuple[str, bytes]]:
    """(name, content) of operators of each kind, the same every time."""
    for kind in OpKind:
        for seed in range(_EACH):
            op = random_op(kind, np.random.default_rng([kind, seed]), extreme=seed % 3 == 0)
            flags = 1 | seed % 4 << 1  # the target writes the header
            content = as_input(kind, flags, *encode(op))
            if len(content) <= _LARGEST_BYTES:
                yield f"{kind.name.lower()}-{seed}", content
