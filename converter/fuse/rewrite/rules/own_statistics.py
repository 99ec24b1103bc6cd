# SPDX-License-Identifier: Apache-2.0
"""Norms of one tensor, with gammas of their own, get statistics of their own.

TensorFlow computes mean and variance once where several LayerNorms read a tensor (a memory that
each cross-attention norms). Each of them is one operator only if no other reads what is inside.
"""

from __future__ import annotations

import dataclasses

from converter.fuse.errors import NoMatchError
from converter.fuse.patterns.layer_norm_op import norm_candidates
from converter.fuse.patterns.norm import NormMatch, match_norm
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Operator, Tensor
from tflm_custom_ops.ops.parts import NormKind


def _norms(view: GraphView, anchor: int) -> list[NormMatch]:
    """The norms through the anchor, one a result, each as long as it goes.

    A norm of what a RESHAPE gives is one of what it reads, too: the shortest of those is taken.
    """
    shortest: dict[int, NormMatch] = {}
    for x, y in norm_candidates(view, anchor):
        for kind in (NormKind.LAYER, NormKind.RMS):
            try:
                norm = match_norm(view, x, y, kind)
            except NoMatchError:
                continue
            if y not in shortest or len(norm.ops) < len(shortest[y].ops):
                shortest[y] = norm
            break
    found = tuple(shortest.values())
    return [n for n in found if not any(set(n.ops) < set(m.ops) for m in found)]


def _apply(view: GraphView, anchor: int) -> Edit | None:
    if len(view.consumers(view.op(anchor).outputs[0])) < 2:
        return None
    norms = _norms(view, anchor)
    if len(norms) < 2:
        return None
    last = norms[-1]
    mine = set(last.ops)
    shared = {op for norm in norms[:-1] for op in norm.ops} & mine
    if not shared or last.y in {t for n in norms[:-1] for op in n.ops for t in view.op(op).inputs}:
        return None
    tensors: list[Tensor] = []
    copies: dict[int, int] = {}
    operators: list[Operator] = []
    for op in sorted(last.ops):
        old = view.op(op)
        for t in old.outputs:
            if op in shared:
                tensors.append(
                    dataclasses.replace(view.tensor(t), name=f"{view.tensor(t).name}/own")
                )
                copies[t] = len(view.graph.tensors) + len(tensors) - 1
        inputs = tuple(copies.get(t, t) for t in old.inputs)
        outputs = tuple(copies.get(t, t) for t in old.outputs)
        operators.append(dataclasses.replace(old, inputs=inputs, outputs=outputs))
    return Edit(tuple(sorted(mine - shared)), tuple(operators), tuple(tensors))


RULE = Rule(
    "own_statistics",
    "computes mean and variance again for each of several norms of one tensor",
    frozenset({"RSQRT"}),
    _apply,
)
