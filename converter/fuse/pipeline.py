# SPDX-License-Identifier: Apache-2.0
"""From a plain int8 `.tflite` to a fused one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from converter.fuse.emit import Emitted, Replacement, emit
from converter.fuse.errors import BoundError
from converter.fuse.gate import (
    Feeds,
    Gate,
    Lowered,
    PlainGraph,
    checked_normal_form,
    one_blas_thread,
)
from converter.fuse.islands import (
    Bordered,
    IntegerForm,
    coarse_means,
    find_carriers,
    float_before,
    integer_form,
    is_too_far,
    remarks,
    staying,
    too_far,
    with_borders,
    with_wide_layers,
)
from converter.fuse.kind import check_kind
from converter.fuse.lower import lower
from converter.fuse.masks import mask_remarks
from converter.fuse.report import FusedOp, FuseReport, Leftover, NotFused
from converter.fuse.residual import Types, residual_types
from converter.fuse.rewrite import RULES, Normalized, normalize
from converter.fuse.search import Found, Refused, find_matches
from converter.fuse.wellformed import check_operators
from converter.tflite import GraphView, Model, parse, serialize
from tflm_custom_ops.ops import BY_CODE, operator_of
from tflm_custom_ops.ops.schema.residual import INT8, RESIDUAL_BITS


@dataclasses.dataclass(frozen=True)
class FuseResult:
    """A fused file and how it came about."""

    model_bytes: bytes
    report: FuseReport


def fuse_model(
    model_bytes: bytes,
    residual_bits: int | None = None,
    signature: str | None = None,
    probes: Sequence[Sequence[NDArray[Any]]] | None = None,
    judged: bool = True,
) -> FuseResult:
    """Replaces the patterns of a plain int8 ViT by the custom operators.

    What is replaced was checked (`converter.fuse.gate`): the device takes it, and on probe inputs
    it is no farther from the float network than the plain operators are.

    Args:
      model_bytes: a fully int8 `.tflite` with a static batch of 1, from any converter.
      residual_bits: 8, or 16 to widen the residual stream where everything around it is fused. None
        widens a stream that the file has in float, and leaves others int8.
      signature: which of several inference functions in the file; None where it has one.
      probes: inputs to check on, calibration images for example: for each one value an input of the
        network, of its type and number of elements. None makes some from the tensors' ranges. Float
        tensors between integers get their ranges on those that are given (`islands/`), else bounds.
      judged: False keeps what the gate would refuse: to study a badly quantized network, never to
        make a file that is run.

    Raises:
      TfliteError: not such a file, or one that is fused already.
      ValueError: residual_bits is neither 8 nor 16, or probes that are no inputs of the network.
    """
    if residual_bits is not None and residual_bits not in RESIDUAL_BITS:
        raise ValueError(f"residual_bits: got {residual_bits}, expected 8 or 16")
    model = parse(model_bytes, signature)
    check_kind(model.graph)
    check_operators(model.graph)
    plain = PlainGraph(GraphView(model.graph))
    feeds = Feeds(plain.view, probes)
    with one_blas_thread():
        normal = checked_normal_form(plain, feeds, RULES)
        islands = integer_form(plain, normal, feeds.given)
        as_read = _Form(model, plain, normal)
        if islands is None:
            return _fused(as_read, feeds, residual_bits, judged)
        cut = PlainGraph(islands.normal.view, plain)
        again = checked_normal_form(cut, feeds, RULES).behind(islands.normal)
        result = _fused(_Form(model, cut, again, plain, islands), feeds, residual_bits, judged)
        accuracy = result.report.accuracy
        if accuracy is None or not is_too_far(islands, accuracy):
            return result
        return _remarked(_fused(as_read, feeds, residual_bits, judged), too_far(accuracy))


@dataclasses.dataclass(frozen=True, eq=False)
class _Form:
    """A graph to look for patterns in.

    Attributes:
      plain: what fused operators are compared with.
      normal: the same in normal form.
      original: the graph as it was read, where that is another.
      islands: what became of its float islands.
    """

    model: Model
    plain: PlainGraph
    normal: Normalized
    original: PlainGraph | None = None
    islands: IntegerForm | None = None


def _fused(form: _Form, feeds: Feeds, residual_bits: int | None, judged: bool) -> FuseResult:
    """The graph with what was found in it replaced; in no normal form where that alone is worse."""
    widened, carriers = frozenset[int](), frozenset[int]()
    if form.islands is not None and residual_bits != INT8.bits:
        count = len(form.model.graph.tensors)
        widened = float_before(form.islands, form.normal.graph, count)
        bordered = _bordered(form.normal, widened)
        form, carriers = dataclasses.replace(form, normal=bordered.normal), bordered.carriers
    view, bits = form.normal.view, residual_bits or INT8.bits
    gate = Gate(form.plain, view, feeds, form.original)
    search = _search(view, bits, _Wide(widened, carriers), gate, judged)
    if gate.fault and view.graph is not form.model.graph:
        as_read = PlainGraph(GraphView(form.model.graph))
        result = _fused(
            _Form(form.model, as_read, normalize(form.model.graph, [])),
            feeds,
            residual_bits,
            judged,
        )
        return _remarked(result, f"not in normal form, which alone would be worse: {gate.fault}")
    graph = dataclasses.replace(form.model, graph=form.normal.graph)
    emitted = emit(graph, view, search.replacements, search.types.wide)
    report = _report(form, emitted, search, gate, bits)
    return FuseResult(serialize(emitted.model), report)


def _bordered(normal: Normalized, widened: frozenset[int]) -> Bordered:
    """The graph with a QUANTIZE where 8 and 16 bits meet."""
    found, _ = find_matches(normal.view, {})
    carriers = find_carriers(normal.view, [f.match for f in found], widened)
    if carriers:  # some may be of a match, which is found without them
        found, _ = find_matches(normal.view, {}, carriers)
        found = with_wide_layers(normal.view, found, widened, carriers)
    return with_borders(normal, [f.match for f in found], widened, carriers)


def _remarked(result: FuseResult, remark: str) -> FuseResult:
    report = dataclasses.replace(result.report, remarks=(*result.report.remarks, remark))
    return dataclasses.replace(result, report=report)


@dataclasses.dataclass(frozen=True)
class _Wide:
    """What is to be int16 whatever the user asks for.

    Attributes:
      tensors: that the file has in float.
      carriers: builtin operators between them.
    """

    tensors: frozenset[int]
    carriers: frozenset[int]


@dataclasses.dataclass(frozen=True, eq=False)
class _Search:
    """What was found and is kept."""

    found: tuple[Found, ...]
    not_fused: tuple[NotFused, ...]
    replacements: tuple[Replacement, ...]
    types: Types


def _search(view: GraphView, residual_bits: int, wide: _Wide, gate: Gate, judged: bool) -> _Search:
    """Matches until every one of them can be expressed in integers and passes the gate."""
    refused: Refused = {}
    while True:
        found, not_fused = find_matches(view, refused, wide.carriers)
        found = with_wide_layers(view, found, wide.tensors, wide.carriers)
        types = residual_types(
            view, [f.match for f in found], residual_bits, wide.tensors, wide.carriers
        )
        type_of = functools.partial(types.of, view)
        lowered: list[Lowered] = []
        count = len(refused)
        for f in found:
            try:
                op = operator_of(lower(f.match, type_of)).default_schedule()
            except BoundError as error:
                refused[f.place] = str(error)
                continue
            lowered.append(Lowered(f.place, f.match, op))
        if judged and len(refused) == count:
            refused |= {r.place: r.reason for r in gate.refusals(lowered, type_of)}
        if len(refused) == count:
            replacements = tuple(Replacement(entry.match, entry.op) for entry in lowered)
            return _Search(tuple(found), tuple(not_fused), replacements, types)


def _report(
    form: _Form, emitted: Emitted, search: _Search, gate: Gate, residual_bits: int
) -> FuseReport:
    graph, normal = emitted.model.graph, form.normal
    custom = [op for op in graph.operators if op.opcode == "CUSTOM" and op.name in _CODES]
    fused = tuple(
        FusedOp(
            label=f.label,
            custom_code=op.custom_code,
            replaced_ops=len(plain_ops),
            input_shape=graph.tensors[op.inputs[0]].shape,
            output_shape=graph.tensors[op.outputs[0]].shape,
            residual_bits=8 * graph.tensors[op.outputs[0]].dtype.itemsize,
            parameter_bytes=graph.tensors[op.inputs[-1]].nbytes,
            plain_ops=plain_ops,
        )
        for f, op in zip(search.found, custom, strict=True)
        for plain_ops in [tuple(sorted({p for o in f.match.ops for p in normal.origin[o]}))]
    )
    reasons = {n.op: n.reason for n in search.not_fused}
    leftovers = tuple(
        Leftover(new, graph.operators[new].name, reasons.get(old, "no fused operator does this"))
        for new, old in emitted.kept.items()
    )
    taken = {op for f in search.found for op in f.match.ops}
    masks = mask_remarks(normal.view, taken, len(form.model.graph.tensors))
    of_islands: list[str] = []
    if form.islands is not None:
        is_wide = any(t in form.islands.integers for t in search.types.wide)
        narrow = form.islands.integers.difference(search.types.wide)
        stay = staying(normal.view, narrow, emitted.kept.values())
        means = coarse_means(normal.view, form.islands, [f.match for f in search.found])
        of_islands = remarks(form.islands, is_wide, stay, means, gate.accuracy)
    return FuseReport(
        ops_before=len(form.model.graph.operators),
        ops_after=len(graph.operators),
        fused=fused,
        not_fused=tuple(
            dataclasses.replace(n, op=normal.origin[n.op][-1]) for n in search.not_fused
        ),
        leftovers=leftovers,
        residual_bits=residual_bits,
        notes=search.types.notes,
        accuracy=gate.accuracy,
        remarks=(*gate.notes, *gate.remarks, *masks, *of_islands),
    )


_CODES = frozenset(BY_CODE)
