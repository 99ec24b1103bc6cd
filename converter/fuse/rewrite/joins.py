# SPDX-License-Identifier: Apache-2.0
"""Many tensors joined along an axis, in CONCATENATIONs that every runtime takes."""

from __future__ import annotations

from converter.fuse.rewrite.building import Builder

_MOST_JOINED = 10  # inputs of TFLM's CONCATENATION (kMaxInputNum)


def join(b: Builder, parts: list[int], y: int, axis: int) -> None:
    """Parts of y's type one behind the other, ten tensors at a time."""
    while len(parts) > _MOST_JOINED:
        chunks = [parts[i : i + _MOST_JOINED] for i in range(0, len(parts), _MOST_JOINED)]
        parts = [_joined(b, chunk, axis) if len(chunk) > 1 else chunk[0] for chunk in chunks]
    b.op("CONCATENATION", parts, [y], "ConcatenationOptions", axis=axis, fusedActivationFunction=0)


def _joined(b: Builder, parts: list[int], axis: int) -> int:
    shape = list(b.get(parts[0]).shape)
    shape[axis] = sum(b.get(t).shape[axis] for t in parts)
    y = b.like(parts[0], shape, f"{b.get(parts[0]).name}/joined")
    join(b, parts, y, axis)
    return y
