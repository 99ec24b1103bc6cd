# SPDX-License-Identifier: Apache-2.0
"""Chains of RESHAPE, TRANSPOSE, SLICE, SQUEEZE and EXPAND_DIMS become the fewest that do so.

More than five dimensions, as of windows of a grid, become fewer: TensorFlow Lite Micro has five.
"""

from __future__ import annotations

from converter.fuse.layout import MAX_CHAIN, element_index, view_input
from converter.fuse.op_semantics import RESHAPES, VIEWS
from converter.fuse.rewrite.building import Builder, same_type, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.moves import MAX_RANK, emit, moves_for, steps_for
from converter.tflite import GraphView

# Dimensions that TensorFlow Lite Micro has of an operator; of others MAX_RANK.
_MOST = {"STRIDED_SLICE": 4}


def _source(view: GraphView, op: int) -> int | None:
    """The tensor that a view with one result rearranges, of the same type."""
    operator = view.op(op)
    if operator.opcode not in VIEWS or len(operator.outputs) != 1:
        return None
    source = view_input(view, op)
    if source is None or not same_type(view.tensor(source), view.tensor(operator.outputs[0])):
        return None
    return source


def _chain(view: GraphView, op: int) -> list[int]:
    """The views that end with `op`, each the only reader of the one before, first to last."""
    chain = [op]
    while len(chain) < MAX_CHAIN:
        source = _source(view, chain[0])
        if source is None or single_reader(view, source) is None:
            break
        before = view.producer(source)
        if before is None or _source(view, before) is None:
            break
        chain.insert(0, before)
    return chain


def _is_wide(view: GraphView, chain: list[int]) -> bool:
    """Whether TensorFlow Lite Micro refuses one of them for its dimensions; no move is wide."""
    return any(
        len(view.tensor(t).shape) > _MOST.get(view.op(op).opcode, MAX_RANK)
        for op in chain
        if view.op(op).opcode not in RESHAPES
        for t in (view_input(view, op), view.op(op).outputs[0])
        if t is not None
    )


def _apply(view: GraphView, op: int) -> Edit | None:
    if _source(view, op) is None:
        return None
    result = view.op(op).outputs[0]
    reader = single_reader(view, result)
    if reader is not None and _source(view, reader) is not None:
        return None  # that one ends the chain
    chain = _chain(view, op)
    # The whole chain may need too many dimensions where its wide ones, alone, do not.
    for end in range(len(chain), 0, -1):
        for start in range(end):
            part = chain[start:end]
            is_wide = _is_wide(view, part)
            if end < len(chain) and not is_wide:
                continue
            base, result = _source(view, part[0]), view.op(part[-1]).outputs[0]
            assert base is not None
            moves = moves_for(view.tensor(base).shape, element_index(view, base, result, part))
            if moves is not None and (len(moves) < len(part) or is_wide):
                return _edit(view, part, base, result, moves)
    return _in_steps(view, next((op for op in chain if _is_wide(view, [op])), None))


def _in_steps(view: GraphView, wide: int | None) -> Edit | None:
    """A move of too many dimensions as several of fewer."""
    base = None if wide is None else _source(view, wide)
    if wide is None or base is None:
        return None
    result = view.op(wide).outputs[0]
    index = element_index(view, base, result, [wide])
    moves = steps_for(view.tensor(base).shape, index)
    return None if moves is None else _edit(view, [wide], base, result, moves)


def _edit(view: GraphView, part: list[int], base: int, result: int, moves: tuple) -> Edit | None:  # type: ignore[type-arg]
    if moves:
        b = Builder(view)
        emit(b, base, moves, result)
        return Edit(tuple(part), tuple(b.operators), tuple(b.tensors))
    if result not in view.graph.outputs:
        return Edit(tuple(part), renamed={result: base})
    if view.producer(base) is None or base in view.graph.outputs:
        return None
    return Edit(tuple(part), renamed={base: result})


RULE = Rule(
    "plumbing",
    "replaces a chain of RESHAPE, TRANSPOSE, SLICE, SQUEEZE or EXPAND_DIMS by fewer of them",
    frozenset(VIEWS),
    _apply,
)
