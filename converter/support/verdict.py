# SPDX-License-Identifier: Apache-2.0
"""What runs a file, and why the rest does not."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np

from converter import builtins
from converter.fused_ops import decoded_all, is_fused
from converter.support.table import TABLE, Builtin, Form
from converter.tflite import Graph, Operator, TfliteError


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a runtime runs a file.

    Attributes:
      runtime: its name for people.
      reasons: why not; empty if it does.
    """

    runtime: str
    reasons: tuple[str, ...]

    @property
    def runs(self) -> bool:
        return not self.reasons

    def __str__(self) -> str:
        if self.runs:
            return f"{self.runtime}: runs it"
        return f"{self.runtime}: does not run it: {'; '.join(self.reasons)}"


_SYMMETRIC = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_DIVISOR_BITS = 7
COMPILED, WHEEL, DEVICE = "compiled runtime", "TFLM wheel", "TFLM on a device"


def verdicts(graph: Graph) -> tuple[Verdict, ...]:
    """One for each runtime that a user may mean, in the order of the page."""
    broken = _broken(graph)
    return (
        Verdict(COMPILED, broken or _reasons(graph, lambda b: b.compiled, _not_compiled)),
        Verdict(WHEEL, broken or _reasons(graph, lambda b: b.wheel, _misread)),
        Verdict(DEVICE, broken or _reasons(graph, _on_device, _misread)),
    )


def reasons_of(runtime: str, graph: Graph) -> tuple[str, ...]:
    """Why a runtime does not run a file; empty if it does."""
    (entry,) = (v for v in verdicts(graph) if v.runtime == runtime)
    return entry.reasons


def text(entries: tuple[Verdict, ...]) -> str:
    """Lines for people."""
    return "\n".join(str(entry) for entry in entries)


def _broken(graph: Graph) -> tuple[str, ...]:
    """Why no runtime takes the file: a fused operator that is not one."""
    try:
        decoded_all(graph)
    except TfliteError as error:
        return (str(error),)
    return ()


def _reasons(
    graph: Graph,
    form_of: Callable[[Builtin], Form | None],
    refusal: Callable[[Graph, Operator], str | None] = lambda graph, op: None,
) -> tuple[str, ...]:
    """Every operator that the runtime lacks, each reason once with the number of operators."""
    found: Counter[str] = Counter()
    for op in graph.operators:
        if is_fused(op):
            continue
        reason = _missing(graph, op, form_of) or refusal(graph, op)
        if reason is not None:
            found[reason] += 1
    return tuple(f"{r} ({n} of them)" if n > 1 else r for r, n in found.items())


def _missing(graph: Graph, op: Operator, form_of: Callable[[Builtin], Form | None]) -> str | None:
    entry = TABLE.get(op.name)
    form = None if entry is None or op.opcode == "CUSTOM" else form_of(entry)
    if form is None:
        return f"no {op.name}"
    tensors = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
    first = next((t for t in tensors if not t.is_constant), None)
    if form.types and first is not None and str(first.dtype) not in form.types:
        return f"{op.name} of {first.dtype}, it has {'/'.join(form.types)}"
    result = str(graph.tensors[op.outputs[0]].dtype)
    if form.results and result not in form.results:
        return f"{op.name} of {result}, it has {'/'.join(form.results)}"
    rank = max((len(t.shape) for t in tensors), default=0)
    if form.rank and rank > form.rank:
        return f"{op.name} of {rank} dimensions, it has up to {form.rank}"
    if form.version and op.version > form.version:
        return f"{op.name} version {op.version}, it has up to {form.version}"
    return None


def _on_device(entry: Builtin) -> Form | None:
    return entry.wheel if entry.method else None


def _misread(graph: Graph, op: Operator) -> str | None:
    """Why TFLM refuses an operator, or computes another result than the definition."""
    if op.name in ("GATHER", "GATHER_ND") and graph.tensors[op.inputs[1]].dtype != np.int32:
        return f"{op.name} by positions of {graph.tensors[op.inputs[1]].dtype}, it has int32"
    if op.name in _SYMMETRIC:
        return _other_layer(graph, op)
    if op.name == "RELU6" and not _same_scale(graph, op):
        return "RELU6 between two scales, it does not rescale"
    if op.name == "DIV" and _is_small_quotient(graph, op):
        return "DIV of small results, which it shifts by more than 31 bits"
    if op.name in ("SUM", "MEAN") and _leaves_32_bits(graph, op):
        return f"{op.name} of so many int16, which it adds in 32 bits"
    return None


def _other_layer(graph: Graph, op: Operator) -> str | None:
    """TFLM reads zero points of weights in a FULLY_CONNECTED of one scale, and ignores others.

    A FULLY_CONNECTED of int16 it computes with multipliers of 16 bits, LiteRT with 32.
    """
    if op.name == "FULLY_CONNECTED" and graph.tensors[op.inputs[0]].dtype == np.int16:
        return f"{op.name} of int16, whose results it rounds by a step otherwise"
    q = graph.tensors[op.inputs[1]].quantization
    if q is None or not np.any(q.zero_point) or graph.tensors[op.inputs[1]].data is None:
        return None
    if op.name == "FULLY_CONNECTED" and len(q.scale) == 1:
        return None
    return f"{op.name} whose weights have zero points, it takes them for 0"


def _same_scale(graph: Graph, op: Operator) -> bool:
    x, y = (graph.tensors[i].quantization for i in (op.inputs[0], op.outputs[0]))
    if x is None or y is None:
        return True
    return np.array_equal(x.scale, y.scale) and np.array_equal(x.zero_point, y.zero_point)


def _is_small_quotient(graph: Graph, op: Operator) -> bool:
    """TFLM's DIV (div.h) shifts a quotient right by the 7 integer bits of the largest divisor and
    the 31 that a dividend of 0 leaves free, less the shift of the factor; from 32 on that is
    undefined."""
    try:
        divide = builtins.params_of(graph.tensors, op)
    except builtins.BuiltinError:
        return False
    return bool(divide.out_shift < _DIVISOR_BITS)


def _leaves_32_bits(graph: Graph, op: Operator) -> bool:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    return x.dtype == np.int16 and x.size >= max(1, y.size) << 16


def _not_compiled(graph: Graph, op: Operator) -> str | None:
    """What the compiled runtime says when it reads the operator's parameters."""
    try:
        builtins.params_of(graph.tensors, op)
    except (builtins.BuiltinError, TfliteError) as error:
        return str(error)
    return None
