# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs of int8: what converters put around an int8 network is left out.

Those of int64 (token numbers) become int32, which runtimes have.

`TFLiteConverter` leaves ends of float32 unless it is told otherwise, and many scripts ask for
uint8: a QUANTIZE stands behind such an input, a DEQUANTIZE or QUANTIZE before such an output. Rows,
camera and class names of firmware, and streaming, need the int8 tensors between.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.int32_numbers import with_int32
from converter.tflite import Graph, GraphView, Model, Tensor, TfliteError, parse, serialize
from converter.tflite.model import Signature

_CONVERTED = (np.dtype(np.float32), np.dtype(np.uint8), np.dtype(np.int16))
_TO_INT8 = ("QUANTIZE",)
_FROM_INT8 = ("DEQUANTIZE", "QUANTIZE")


@dataclasses.dataclass(frozen=True)
class _Cut:
    """An operator at an end that is left out, and the tensor that takes the place of another."""

    op: int
    old: int
    new: int


def _is_int8(tensor: Tensor) -> bool:
    q = tensor.quantization
    return tensor.dtype == np.int8 and q is not None and len(q.scale) == 1


def _refused(view: GraphView, index: int, what: str, expected: str) -> TfliteError:
    tensor = view.tensor(index)
    return TfliteError(
        f"--int8_io: got {what} {tensor.name!r} of {tensor.dtype}, expected {expected}; convert "
        "the network with int8 inputs and outputs, or leave --int8_io out"
    )


def _input_cut(view: GraphView, index: int) -> _Cut | None:
    if view.tensor(index).dtype not in _CONVERTED:
        return None
    readers = view.consumers(index)
    if len(readers) == 1 and index not in view.graph.outputs:
        op = view.op(readers[0])
        if op.opcode in _TO_INT8 and _is_int8(view.tensor(op.outputs[0])):
            return _Cut(readers[0], index, op.outputs[0])
    raise _refused(view, index, "input", "one that a QUANTIZE to int8 alone reads")


def _output_cut(view: GraphView, index: int) -> _Cut | None:
    if view.tensor(index).dtype not in _CONVERTED:
        return None
    writer = view.producer(index)
    if writer is not None and not view.consumers(index):
        op = view.op(writer)
        inside = op.inputs[0]
        is_computed = view.producer(inside) is not None and inside not in view.graph.outputs
        if op.opcode in _FROM_INT8 and _is_int8(view.tensor(inside)) and is_computed:
            return _Cut(writer, index, inside)
    raise _refused(view, index, "output", "one that is made of an int8 tensor of its own")


def _without(model: Model, cuts: list[_Cut]) -> Model:
    graph = model.graph
    new = {cut.old: cut.new for cut in cuts}
    dropped = {cut.op for cut in cuts}

    def pairs(entries: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        return tuple((name, new.get(i, i)) for name, i in entries)

    cut_graph = Graph(
        graph.tensors,
        tuple(op for i, op in enumerate(graph.operators) if i not in dropped),
        tuple(new.get(i, i) for i in graph.inputs),
        tuple(new.get(i, i) for i in graph.outputs),
        graph.name,
    )
    signatures = tuple(
        Signature(s.key, pairs(s.inputs), pairs(s.outputs)) for s in model.signatures
    )
    return dataclasses.replace(model, graph=cut_graph, signatures=signatures)


def with_int8_io(content: bytes, signature: str | None = None) -> bytes:
    """A file whose inputs and outputs are the int8 tensors inside; equal where they are already.

    Inputs and outputs of int32 and bool (token numbers, masks, a class) stay as they are; those of
    int64 become int32, with what is computed of them.

    Args:
      content: a plain int8 `.tflite`.
      signature: which of several inference functions in the file; None where it has one.

    Raises:
      TfliteError: a damaged file, an end of float32, uint8 or int16 that is not made of, or made
        into, one int8 tensor, or one of int64 beyond what int32 can do.
    """
    model = parse(content, signature)
    is_long = _has_long_ends(model.graph)
    if is_long:
        model = dataclasses.replace(model, graph=with_int32(model.graph))
    view = GraphView(model.graph)
    found = [_input_cut(view, i) for i in model.graph.inputs]
    found += [_output_cut(view, i) for i in model.graph.outputs]
    cuts = [cut for cut in found if cut is not None]
    if not cuts:
        return serialize(model) if is_long else content
    if len({cut.op for cut in cuts}) < len(cuts) or len({cut.new for cut in cuts}) < len(cuts):
        raise TfliteError(
            "--int8_io: got inputs and outputs that share an int8 tensor, expected one for each; "
            "leave --int8_io out"
        )
    return serialize(_without(model, cuts))


def _has_long_ends(graph: Graph) -> bool:
    return any(graph.tensors[i].dtype == np.int64 for i in (*graph.inputs, *graph.outputs))


def remark_on_ends(graph: Graph) -> str | None:
    """What a network gains if `with_int8_io` is used; None where that changes nothing."""
    if _has_long_ends(graph):
        return "inputs and outputs of int64 stay: runtimes need int32 ones (--int8_io)"
    view = GraphView(graph)
    is_image = len(graph.inputs) == len(graph.outputs) == 1
    if not is_image or len(view.tensor(graph.inputs[0]).shape) != 4:
        return None
    try:
        found = (_input_cut(view, graph.inputs[0]), _output_cut(view, graph.outputs[0]))
    except TfliteError:
        return None
    types = sorted({str(view.tensor(cut.old).dtype) for cut in found if cut is not None})
    if not types:
        return None
    return (
        f"inputs and outputs of {' and '.join(types)} stay: rows, camera and class names of "
        "firmware need int8 ones (--int8_io)"
    )
