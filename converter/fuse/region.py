# SPDX-License-Identifier: Apache-2.0
"""Parts of a graph between two tensors, and the checks that make them replaceable."""

from __future__ import annotations

from collections.abc import Container, Iterable

from converter.fuse.errors import NoMatchError
from converter.tflite import GraphView

MAX_REGION = 64  # operators; far above the longest pattern, bounds the walk on strange graphs


def between(
    view: GraphView, source: int, sink: int, allowed: Container[str], what: str
) -> tuple[int, ...]:
    """The operators that compute `sink` from `source` and constants alone, in execution order.

    Raises:
      NoMatchError: another activation is involved, or an operator that is not allowed.
    """
    found: set[int] = set()
    pending, seen = [sink], {source}
    while pending:
        tensor = pending.pop()
        if tensor in seen or view.is_constant(tensor):
            continue
        seen.add(tensor)
        op = view.producer(tensor)
        if op is None or view.op(op).opcode not in allowed:
            name = "the graph's input" if op is None else view.label(op)
            raise NoMatchError(f"{what} depends on {name}")
        found.add(op)
        if len(found) > MAX_REGION:
            raise NoMatchError(f"{what} is made of more than {MAX_REGION} operators")
        pending.extend(i for i in view.op(op).inputs if i >= 0)
    return tuple(sorted(found))


def frontier(view: GraphView, sink: int, allowed: Container[str]) -> set[int]:
    """The activations where walking back from `sink` through allowed operators ends."""
    ends: set[int] = set()
    pending, seen = [sink], {sink}
    while pending:
        tensor = pending.pop()
        op = view.producer(tensor)
        if op is None or view.op(op).opcode not in allowed or len(seen) > MAX_REGION:
            ends.add(tensor)
            continue
        for i in view.op(op).inputs:
            if i >= 0 and i not in seen and not view.is_constant(i):
                seen.add(i)
                pending.append(i)
    return ends


def check_closed(view: GraphView, ops: Iterable[int], results: Container[int]) -> None:
    """Nothing outside `ops` reads a tensor made inside, `results` excepted.

    Raises:
      NoMatchError: names the tensor and its outside reader.
    """
    inside = set(ops)
    for index in sorted(inside):
        for tensor in view.op(index).outputs:
            if tensor in results:
                continue
            name = view.tensor(tensor).name
            if tensor in view.graph.outputs:
                raise NoMatchError(f"inner tensor {name!r} is an output of the graph")
            for reader in view.consumers(tensor):
                if reader not in inside:
                    raise NoMatchError(
                        f"inner tensor {name!r} is also read by {view.label(reader)}"
                    )


def with_private(view: GraphView, inside: Iterable[int], ops: Iterable[int]) -> set[int]:
    """`inside` and those of `ops`, the last first, whose results nothing but these read."""
    found = set(inside)
    for op in ops:
        outputs = view.op(op).outputs
        if any(t in view.graph.outputs or not found.issuperset(view.consumers(t)) for t in outputs):
            break
        found.add(op)
    return found
