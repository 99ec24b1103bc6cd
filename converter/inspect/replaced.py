# SPDX-License-Identifier: Apache-2.0
"""Which operators of a plain model became which of the fused one.

A fused file does not say it. The fuser keeps the names of the tensors between its operators, so
that what was replaced lies, in the plain graph, between the tensors of the same names.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

from converter.tflite import Graph, GraphView, TfliteError


def replaced_by(plain: Graph, fused: Graph) -> tuple[tuple[int, ...], ...]:
    """Numbers of the plain operators for each fused one, in order; each at most once.

    What several results depend on counts for the first; what lies behind a tensor that the fuser
    made itself, or whose name several have, counts for the operator that comes next.

    Raises:
      TfliteError: the graphs share no tensor: they are of different networks.
    """
    view = GraphView(plain)
    names = collections.Counter(t.name for t in plain.tensors if not t.is_constant)
    index = {t.name: i for i, t in enumerate(plain.tensors) if names[t.name] == 1}
    known = {t.name for t in fused.tensors if not t.is_constant and names[t.name] == 1}
    claimed: set[int] = set()
    found = []
    for op in fused.operators:
        results = [fused.tensors[i].name for i in op.outputs]
        inner = known - set(results)
        ends = [index[name] for name in results if name in index]
        found.append(_behind(view, ends, inner, claimed))
    if not claimed:
        raise TfliteError(
            "got a plain model whose tensors the fused one does not have, expected the file that "
            "it was fused from"
        )
    return tuple(found)


def _behind(
    view: GraphView, ends: Sequence[int], boundary: set[str], claimed: set[int]
) -> tuple[int, ...]:
    """Operators that tensors depend on, back to tensors of those names; claims them."""
    waiting, mine = list(ends), []
    while waiting:
        producer = view.producer(waiting.pop())
        if producer is None or producer in claimed:
            continue
        claimed.add(producer)
        mine.append(producer)
        waiting += [
            t
            for t in view.op(producer).inputs
            if t >= 0 and not view.is_constant(t) and view.tensor(t).name not in boundary
        ]
    return tuple(sorted(mine))
