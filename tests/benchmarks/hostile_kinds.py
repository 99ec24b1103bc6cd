# SPDX-License-Identifier: Apache-2.0
"""Kinds of files that no converter writes, each as a change of a valid one.

Each function takes the generated object tree; `KINDS` says of which file it is a change.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable, Mapping
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from benchmarks.fuzz.command_table import PLAIN, PLANNED
from converter.tflite.schema import OPCODES

Change = Callable[[Any], None]
_ESCAPES = b"\x1b[2J\x1b]0;owned\x07\r\n\x00\xff"


def _graph(tree: Any) -> Any:
    return tree.subgraphs[0]


def _names(tree: Any) -> None:
    """Control codes of a terminal, a line break, NUL and no UTF-8."""
    for t in _graph(tree).tensors:
        t.name = _ESCAPES
    tree.description = _ESCAPES


def _written_twice(tree: Any) -> None:
    one, other = _graph(tree).operators[:2]
    other.outputs = list(one.outputs)


def _writes_its_input(tree: Any) -> None:
    _graph(tree).operators[0].outputs = list(_graph(tree).inputs)


def _input_is_a_constant(tree: Any) -> None:
    g = _graph(tree)
    g.inputs = [g.operators[0].inputs[1]]


def _inputs_twice(tree: Any) -> None:
    _graph(tree).inputs = [*_graph(tree).inputs] * 2


def _outputs_twice(tree: Any) -> None:
    _graph(tree).outputs = [*_graph(tree).outputs] * 2


def _output_is_the_input(tree: Any) -> None:
    _graph(tree).outputs = list(_graph(tree).inputs)


def _long_chain(tree: Any) -> None:
    """Operators one after another: recursion over a graph would end here."""
    g = _graph(tree)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = OPCODES["RESHAPE"]
    code.version = 1
    tree.operatorCodes.append(code)
    last = g.tensors[g.outputs[0]]
    for _ in range(400):
        op, t = schema.OperatorT(), copy.copy(last)
        t.buffer = 0
        op.opcodeIndex = len(tree.operatorCodes) - 1
        op.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        op.builtinOptions = schema.ReshapeOptionsT()
        op.builtinOptions.newShape = list(last.shape)
        op.inputs, op.outputs = list(g.outputs), [len(g.tensors)]
        g.tensors.append(t)
        g.operators.append(op)
        g.outputs = list(op.outputs)


def _doubled(name: str) -> Change:
    """x + x, 150 times: 2**150 steps, or more than float64 holds where it is squared."""

    def change(tree: Any) -> None:
        g = _graph(tree)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = OPCODES[name.upper()]
        code.version = 1
        tree.operatorCodes.append(code)
        last = g.tensors[g.outputs[0]]
        for _ in range(150):
            op, t = schema.OperatorT(), copy.copy(last)
            t.buffer = 0
            op.opcodeIndex = len(tree.operatorCodes) - 1
            op.builtinOptionsType = getattr(schema.BuiltinOptions, f"{name}Options")
            op.builtinOptions = getattr(schema, f"{name}OptionsT")()
            op.inputs, op.outputs = list(g.outputs) * 2, [len(g.tensors)]
            g.tensors.append(t)
            g.operators.append(op)
            g.outputs = list(op.outputs)

    return change


def _empty_shape(tree: Any) -> None:
    g = _graph(tree)
    g.tensors[g.inputs[0]].shape = [1, 0, *g.tensors[g.inputs[0]].shape[2:]]


def _many_dimensions(tree: Any) -> None:
    t = _graph(tree).tensors[_graph(tree).outputs[0]]
    t.shape = [*([1] * 600), *t.shape]


def _open_inside(tree: Any) -> None:
    t = _graph(tree).tensors[_graph(tree).inputs[0]]
    t.shapeSignature = [*t.shape[:-1], -1]


def _steps_differ(tree: Any) -> None:
    """A scale for each channel, one too few."""
    weights = _graph(tree).tensors[_graph(tree).operators[0].inputs[1]]
    count, q = int(weights.shape[0]) - 1, weights.quantization
    q.scale, q.zeroPoint, q.quantizedDimension = [0.1] * count, [0] * count, 0


def _all_steps(step: float) -> Change:
    def change(tree: Any) -> None:
        for t in _graph(tree).tensors:
            if t.quantization and t.quantization.scale is not None:
                # Of a bias it is the product of input's and weights'.
                bias = t.type == schema.TensorType.INT32
                t.quantization.scale = [step * step if bias else step] * len(t.quantization.scale)

    return change


def _buffer_of_nobody(tree: Any) -> None:
    """Buffer 0 stands for none, and has bytes here."""
    tree.buffers[0].data = [1, 2, 3, 4]


def _metadata(name: str, content: bytes) -> Change:
    def change(tree: Any) -> None:
        entry, buffer = schema.MetadataT(), schema.BufferT()
        buffer.data = list(content)
        tree.buffers.append(buffer)
        entry.name, entry.buffer = name, len(tree.buffers) - 1
        tree.metadata = [m for m in tree.metadata or () if m.name != name.encode()] + [entry]

    return change


def _other_signature(tree: Any) -> None:
    tree.subgraphs.append(copy.deepcopy(_graph(tree)))
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex, made.inputs, made.outputs = "s", 1, [], []
    tree.signatureDefs = [made]


def _shared_blob(tree: Any) -> None:
    """All fused operators read the constants of the first."""
    g = _graph(tree)
    own = [op for op in g.operators if op.customOptions is not None]
    for op in own[1:]:
        op.inputs = [op.inputs[0], own[0].inputs[1]]


def _options_of_ones(tree: Any) -> None:
    for op in _graph(tree).operators:
        if op.customOptions is not None:
            op.customOptions = list(b"\xff" * len(op.customOptions))


def _plan_words(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}i", *words)


KINDS: Mapping[str, tuple[str, Change]] = {
    "names": (PLANNED, _names),
    "written twice": (PLAIN, _written_twice),
    "writes its input": (PLAIN, _writes_its_input),
    "input is a constant": (PLAIN, _input_is_a_constant),
    "inputs twice": (PLAIN, _inputs_twice),
    "outputs twice": (PLANNED, _outputs_twice),
    "output is the input": (PLANNED, _output_is_the_input),
    "long chain": (PLAIN, _long_chain),
    "doubled": (PLAIN, _doubled("Add")),
    "squared": (PLAIN, _doubled("Mul")),
    "empty shape": (PLAIN, _empty_shape),
    "many dimensions": (PLAIN, _many_dimensions),
    "open inside": (PLAIN, _open_inside),
    "steps differ": (PLAIN, _steps_differ),
    "smallest steps": (PLAIN, _all_steps(1e-19)),
    "largest steps": (PLAIN, _all_steps(1e19)),
    "buffer of nobody": (PLANNED, _buffer_of_nobody),
    "metadata is none": (PLANNED, _metadata("TFLITE_METADATA", b"\x08\0\0\0M001" + b"\xff" * 40)),
    "plan of billions": (
        PLANNED, _metadata("OfflineMemoryAllocation", _plan_words(1, 0, 2**31 - 1, 0)),
    ),
    "plan far below": (
        PLANNED, _metadata("OfflineMemoryAllocation", _plan_words(1, 0, 3, -2, -(2**31), -1)),
    ),
    "other signature": (PLAIN, _other_signature),
    "shared blob": (PLANNED, _shared_blob),
    "options of ones": (PLANNED, _options_of_ones),
}  # fmt: skip
