# SPDX-License-Identifier: Apache-2.0
"""From a graph to a placement problem.

Step 0 is before the first operator (the graph's inputs are there), step i + 1 is operator i, as
TFLM counts lifetimes plus one. A tensor lives from the step that writes it to the last that reads
it, a graph output to the end, scratch during its operator. Sizes are rounded up to 16 bytes, as
TFLM's allocator does. Scratch of TFLM's builtin kernels is not known to this package: TFLM places
it at run time into the gaps that the plan leaves.
"""

from __future__ import annotations

import dataclasses
import functools

from converter.plan.in_place import overwritable_inputs
from converter.plan.layout import Plan
from converter.plan.offline import NOT_PLANNED
from converter.plan.problem import ALIGNMENT, Buffer, Overwrite, PlanError, Problem, align_up
from converter.tflite import Graph, GraphView, Operator
from tflm_custom_ops.ops import OPERATORS, Params, Streaming, operator_of

STRIP_ID = "strip"
STREAMABLE = " or ".join(o.CODE for o in OPERATORS if o.STREAMS)


def tensor_id(index: int) -> str:
    """Buffer id of an activation."""
    return f"t{index}"


def scratch_id(op: int) -> str:
    """Buffer id of an operator's scratch."""
    return f"scratch{op}"


@dataclasses.dataclass(frozen=True, eq=False)
class ModelProblem:
    """A graph with its placement problem.

    Attributes:
      graph: the planned graph.
      ops: parameters of the fused operators, None for the others.
      streamed: the image is not in the arena, a strip of its rows is.
      problem: what to place; ids are tensor_id(), scratch_id() and STRIP_ID.
    """

    graph: Graph
    ops: tuple[Params | None, ...]
    streamed: bool
    problem: Problem

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """A name for people of each buffer."""
        names = {tensor_id(i): t.name for i, t in enumerate(self.graph.tensors)}
        names |= {scratch_id(i): f"scratch of op {i} {o.name}" for i, o in self._operators()}
        return names | {STRIP_ID: "strip of image rows"}

    def _operators(self) -> list[tuple[int, Operator]]:
        return list(enumerate(self.graph.operators))

    def op_name(self, step: int) -> str:
        """The operator of a step, e.g. "op 3 VitMlp"."""
        if step == 0:
            return "the graph's inputs"
        return f"op {step - 1} {self.graph.operators[step - 1].name}"


def model_problem(
    graph: Graph,
    ops: tuple[Params | None, ...],
    streamed: bool = False,
    with_scratch: bool = True,
) -> ModelProblem:
    """States the problem.

    Args:
      ops: decoded parameters per operator (their schedule decides the scratch).
      streamed: leave the image out; see :func:`check_streamable`.
      with_scratch: include the operators' scratch.

    Raises:
      PlanError: streamed, and the graph does not start with a patch embedding.
    """
    if streamed:
        check_streamable(graph, ops)
    view = GraphView(graph)
    left_out = set(graph.inputs) if streamed else set()
    live = {i: span for i, span in _lifetimes(view).items() if i not in left_out}
    buffers = [
        Buffer(tensor_id(i), align_up(graph.tensors[i].nbytes, ALIGNMENT), lower, upper)
        for i, (lower, upper) in live.items()
    ]
    for i, op in enumerate(ops):
        if with_scratch and op is not None and (needed := operator_of(op).scratch_bytes):
            size = align_up(needed, ALIGNMENT)
            buffers.append(Buffer(scratch_id(i), size, i + 1, i + 2))
    if streamed and (streaming := _streaming(ops[0])) is not None:
        size = align_up(streaming.strip_bytes, ALIGNMENT)
        buffers.append(Buffer(STRIP_ID, size, 1, 2))
    overwrites = _overwrites(graph, ops, live)
    return ModelProblem(graph, ops, streamed, Problem(tuple(buffers), overwrites))


def _streaming(op: Params | None) -> Streaming | None:
    return None if op is None else operator_of(op).streaming


def is_streamable(graph: Graph, ops: tuple[Params | None, ...]) -> bool:
    """Whether the first operator, and it alone, reads the image, and takes it in strips."""
    readers = [i for i, op in enumerate(graph.operators) if set(op.inputs) & set(graph.inputs)]
    return len(graph.inputs) == 1 and readers == [0] and _streaming(ops[0]) is not None


def check_streamable(graph: Graph, ops: tuple[Params | None, ...]) -> None:
    """Raises PlanError, with the operators that read the image, unless it can be streamed."""
    if len(graph.inputs) > 1:
        raise PlanError(
            f"streamed input: got {len(graph.inputs)} inputs, expected one image; plan it as "
            "resident"
        )
    if not is_streamable(graph, ops):
        readers = [i for i, op in enumerate(graph.operators) if set(op.inputs) & set(graph.inputs)]
        names = [f"op {i} {graph.operators[i].name}" for i in readers]
        if readers == [0] and ops[0] is not None and operator_of(ops[0]).STREAMS:
            raise PlanError(
                f"streamed input: {names[0]} reads an image in planes, whose rows do not come one "
                "after another; plan it as resident"
            )
        raise PlanError(
            f"streamed input: the image is read by {', '.join(names) or 'no operator'}; expected "
            f"{STREAMABLE} alone, as the first operator; plan it as resident"
        )


def _lifetimes(view: GraphView) -> dict[int, tuple[int, int]]:
    """[lower, upper) of each activation that is used, in steps."""
    graph, spans = view.graph, dict[int, tuple[int, int]]()
    end = len(graph.operators) + 1
    for i, tensor in enumerate(graph.tensors):
        producer, readers = view.producer(i), view.consumers(i)
        if tensor.is_constant or (producer is None and i not in graph.inputs and not readers):
            continue
        lower = 0 if producer is None else producer + 1
        upper = max((r + 2 for r in readers), default=lower + 1)
        if i in graph.outputs:
            upper = end
        if tensor.is_variable:
            lower, upper = 0, end  # keeps its value from one run to the next
        spans[i] = (lower, upper)
    return spans


def _overwrites(
    graph: Graph, ops: tuple[Params | None, ...], live: dict[int, tuple[int, int]]
) -> tuple[Overwrite, ...]:
    """What may overwrite what: in-place operators, and tokens over the consumed image."""
    found = []
    outlives = {*graph.outputs, *(i for i, t in enumerate(graph.tensors) if t.is_variable)}
    for i, op in enumerate(graph.operators):
        fused = ops[i]
        margin = None if fused is None else operator_of(fused).overwrite_margin
        candidates = overwritable_inputs(op, fused, graph.tensors)
        if margin is not None:
            candidates = op.inputs[:1]
        for tensor in candidates:
            # What is read after the last operator ends where that one does, and does not die.
            ends_here = tensor in live and live[tensor][1] == i + 2
            dies_here = ends_here and tensor not in outlives
            born_here = op.outputs[0] in live and live[op.outputs[0]][0] == i + 1
            if dies_here and born_here:
                found.append(Overwrite(tensor_id(tensor), tensor_id(op.outputs[0]), margin))
    return tuple(found)


def offsets_of(stated: ModelProblem, plan: Plan) -> tuple[int, ...]:
    """A plan's offsets in the order of the problem's buffers.

    Raises:
      PlanError: the plan has no place for a buffer, or one of another size.
    """
    spans = {tensor_id(i): s for i, s in enumerate(plan.tensors)}
    spans |= {scratch_id(i): s for i, s in enumerate(plan.scratch)} | {STRIP_ID: plan.strip}
    offsets = []
    for b in stated.problem.buffers:
        span = spans.get(b.id)
        if span is None or span.size_bytes != b.size_bytes:
            got = "none" if span is None else f"{span.size_bytes} bytes"
            raise PlanError(
                f"plan: got {got} for {stated.names[b.id]}, expected {b.size_bytes} bytes; plan "
                "the model again"
            )
        offsets.append(span.offset)
    return tuple(offsets)


def image_offset(stated: ModelProblem, plan: Plan) -> int:
    """Of a streamed model's image in TFLM: behind the tokens by the safe margin.

    TFLM would otherwise place the image beside the tokens, not under them.
    """
    first = stated.ops[0]
    tokens = plan.tensors[stated.graph.operators[0].outputs[0]]
    margin = None if first is None else operator_of(first).overwrite_margin
    if not plan.streamed or margin is None or tokens is None:
        return NOT_PLANNED
    return tokens.offset + align_up(margin, ALIGNMENT)
