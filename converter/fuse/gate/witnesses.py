# SPDX-License-Identifier: Apache-2.0
"""Tensors inside a network that say more of it than a few outputs do.

Ten logits are ten numbers: whether the fused network's are nearer to the float ones than the plain
network's is chance, and where they hardly depend on the input more probes do not help. So a network
of few outputs is compared at the last tensors before them as well that have many elements.
"""

from __future__ import annotations

from collections.abc import Container

from converter.fuse.gate.plain import is_quantized
from converter.tflite import GraphView

MANY = 256  # elements whose errors together are no chance
_FARTHEST = 60  # operators on the way back


def candidates(view: GraphView) -> frozenset[int]:
    """Activations with many elements that an output of few depends on, near it."""
    found: set[int] = set()
    for output in view.graph.outputs:
        if view.tensor(output).size < MANY:
            found.update(_back(view, output, frozenset()))
    return frozenset(found)


def nearest(view: GraphView, wanted: Container[int]) -> frozenset[int]:
    """Those of the wanted tensors that are the last ones on the ways to outputs of few elements."""
    found: set[int] = set()
    for output in view.graph.outputs:
        if view.tensor(output).size < MANY:
            found.update(t for t in _back(view, output, wanted) if t in wanted)
    return frozenset(found)


def _back(view: GraphView, start: int, ends: Container[int]) -> list[int]:
    """Quantized activations with many elements, from `start` back; no farther than to an end."""
    found: list[int] = []
    pending, seen = [start], {start}
    for _ in range(_FARTHEST):
        if not pending:
            break
        tensor = pending.pop(0)
        t = view.tensor(tensor)
        if tensor != start and is_quantized(t) and t.size >= MANY:
            found.append(tensor)
            if tensor in ends:
                continue
        op = view.producer(tensor)
        if op is None:
            continue
        for source in view.op(op).inputs:
            if source >= 0 and source not in seen and not view.is_constant(source):
                seen.add(source)
                pending.append(source)
    return found
