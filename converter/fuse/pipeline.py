# SPDX-License-Identifier: Apache-2.0
"""From a plain int8 `.tflite` to a fused one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from converter.fuse.emit import Emitted, Replacement, emit
from converter.fuse.errors import BoundError
from converter.fuse.lower import lower
from converter.fuse.report import FusedOp, FuseReport, Leftover, NotFused
from converter.fuse.residual import Types, residual_types
from converter.fuse.rewrite import RULES, Normalized, normalize
from converter.fuse.search import Found, find_matches
from converter.fuse.wellformed import check_operators
from converter.tflite import GraphView, Model, TfliteError, parse, serialize
from tflm_custom_ops.ops import BY_CODE, operator_of
from tflm_custom_ops.ops.schema.residual import RESIDUAL_BITS


@dataclasses.dataclass(frozen=True)
class FuseResult:
    """A fused file and how it came about."""

    model_bytes: bytes
    report: FuseReport


def fuse_model(
    model_bytes: bytes, residual_bits: int = 8, signature: str | None = None
) -> FuseResult:
    """Replaces the patterns of a plain int8 ViT by the custom operators.

    Args:
      model_bytes: a fully int8 `.tflite` with a static batch of 1, from any converter.
      residual_bits: 8, or 16 to widen the residual stream where everything around it is fused.
      signature: which of several inference functions in the file; None where it has one.

    Raises:
      TfliteError: not such a file, or one that is fused already.
      ValueError: residual_bits is neither 8 nor 16.
    """
    if residual_bits not in RESIDUAL_BITS:
        raise ValueError(f"residual_bits: got {residual_bits}, expected 8 or 16")
    model = parse(model_bytes, signature)
    _check_plain(model)
    check_operators(model.graph)
    normal = normalize(model.graph, RULES)
    view = normal.view
    found, not_fused, replacements, types = _search(view, residual_bits)
    emitted = emit(dataclasses.replace(model, graph=normal.graph), view, replacements, types.wide)
    report = _report(model, normal, emitted, found, not_fused, types, residual_bits)
    return FuseResult(serialize(emitted.model), report)


def _check_plain(model: Model) -> None:
    fused = sorted({o.name for o in model.graph.operators} & set(BY_CODE))
    if fused:
        raise TfliteError(
            f"got a file that is fused already ({', '.join(fused)}); fuse the plain .tflite"
        )
    graph = model.graph
    if not any(tensor.dtype == np.int8 for tensor in graph.tensors):
        types = ", ".join(sorted({str(graph.tensors[i].dtype) for i in graph.inputs}))
        raise TfliteError(
            f"got a model of {types} without int8 tensors, expected a fully int8 one; quantize it "
            "first (converter.quantize)"
        )


def _search(
    view: GraphView, residual_bits: int
) -> tuple[list[Found], list[NotFused], list[Replacement], Types]:
    """Matches until every one of them can be expressed in integers."""
    refused: dict[int, str] = {}
    while True:
        found, not_fused = find_matches(view, refused)
        types = residual_types(view, [f.match for f in found], residual_bits)
        replacements: list[Replacement] = []
        count = len(refused)
        for f in found:
            try:
                op = lower(f.match, functools.partial(types.of, view))
            except BoundError as error:
                refused[f.anchor] = str(error)
                continue
            replacements.append(Replacement(f.match, operator_of(op).default_schedule()))
        if len(refused) == count:
            return found, not_fused, replacements, types


def _report(
    model: Model,
    normal: Normalized,
    emitted: Emitted,
    found: Sequence[Found],
    not_fused: Sequence[NotFused],
    types: Types,
    residual_bits: int,
) -> FuseReport:
    graph = emitted.model.graph
    custom = [op for op in graph.operators if op.opcode == "CUSTOM" and op.name in _CODES]
    fused = tuple(
        FusedOp(
            label=f.label,
            custom_code=op.custom_code,
            replaced_ops=len({plain for op in f.match.ops for plain in normal.origin[op]}),
            input_shape=graph.tensors[op.inputs[0]].shape,
            output_shape=graph.tensors[op.outputs[0]].shape,
            residual_bits=8 * graph.tensors[op.outputs[0]].dtype.itemsize,
            parameter_bytes=graph.tensors[op.inputs[1]].nbytes,
        )
        for f, op in zip(found, custom, strict=True)
    )
    reasons = {n.op: n.reason for n in not_fused}
    leftovers = tuple(
        Leftover(new, graph.operators[new].name, reasons.get(old, "no fused operator does this"))
        for new, old in emitted.kept.items()
    )
    return FuseReport(
        ops_before=len(model.graph.operators),
        ops_after=len(graph.operators),
        fused=fused,
        not_fused=tuple(dataclasses.replace(n, op=normal.origin[n.op][-1]) for n in not_fused),
        leftovers=leftovers,
        residual_bits=residual_bits,
        notes=types.notes,
    )


_CODES = frozenset(BY_CODE)
