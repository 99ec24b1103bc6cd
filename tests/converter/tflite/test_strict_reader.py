# SPDX-License-Identifier: Apache-2.0
"""What LiteRT refuses, or TFLM aborts on, the reader refuses with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from benchmarks.fuzz.campaign import campaign, valid
from benchmarks.fuzz.corpus import pieces
from converter import support
from converter.tflite import TfliteError, parse
from converter.tflite.operator_table import ROWS, TABLE
from converter.tflite.schema import OPCODES
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.tflite.flatbuffer_files import pack, unpack

# Of the wheel, but of types (resources) or with calls that the reader refuses before.
_NOT_READ = {"ASSIGN_VARIABLE", "CALL_ONCE", "IF", "READ_VARIABLE", "VAR_HANDLE", "WHILE"}


def block() -> bytes:
    """FULLY_CONNECTED, ADD, MEAN, RESHAPE, SOFTMAX on [1, 4, 6]."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(size=(1, 4, 6)))
    y = g.mean(g.add(g.linear(x, 6), x), 1, keep=False)
    value = g.values[y].reshape(6, 1)
    shape = g.indices(6, 1)
    y = g.op("RESHAPE", [y, shape], value, like=y)
    return g.finish(y)


@pytest.fixture(scope="module")
def content() -> bytes:
    return block()


def test_the_reader_takes_what_is_valid(content: bytes) -> None:
    assert [op.name for op in parse(content).graph.operators] == [
        "FULLY_CONNECTED", "ADD", "MEAN", "RESHAPE",
    ]  # fmt: skip


Tree = Any
FC, ADD, MEAN, RESHAPE = range(4)


def _op(tree: Tree, index: int) -> Any:
    return tree.subgraphs[0].operators[index]


def _output(tree: Tree, index: int) -> Any:
    return tree.subgraphs[0].tensors[_op(tree, index).outputs[0]]


def _input(tree: Tree, index: int, position: int) -> Any:
    return tree.subgraphs[0].tensors[_op(tree, index).inputs[position]]


def _scale(value: float) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        _output(tree, ADD).quantization.scale = [value]

    return change


def _set(owner: Callable[[Tree], Any], **fields: Any) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        for name, value in fields.items():
            setattr(owner(tree), name, value)

    return change


def _code(tree: Tree, index: int) -> Any:
    return tree.operatorCodes[_op(tree, index).opcodeIndex]


def _word(position: int, value: int) -> Callable[[Tree], None]:
    """The first word of MEAN's axes, or of RESHAPE's shape."""

    def change(tree: Tree) -> None:
        t = _input(tree, position, 1)
        data = np.frombuffer(bytes(bytearray(tree.buffers[t.buffer].data)), "<i4").copy()
        data[0] = value
        tree.buffers[t.buffer].data = list(data.tobytes())

    return change


FAULTS: dict[str, tuple[Callable[[Tree], None], str]] = {
    "schema version": (_set(lambda t: t, version=4), "schema version 4"),
    "scale 0": (_scale(0.0), "not finite and positive"),
    "scale denormal": (_scale(1e-45), "not finite and positive"),
    "scale nan": (_scale(float("nan")), "not finite and positive"),
    "scale too small": (_scale(1e-12), "scale too small"),
    "no scale": (_set(lambda t: _output(t, ADD), quantization=None), "without a scale"),
    "zero point": (
        _set(lambda t: _output(t, ADD).quantization, zeroPoint=[300]),
        "zero point 300 of int8",
    ),
    "zero points": (
        _set(lambda t: _output(t, ADD).quantization, zeroPoint=[1, 2]),
        "2 zero points for 1 scales",
    ),
    "axis": (
        _set(lambda t: _input(t, FC, 1).quantization, quantizedDimension=2),
        "6 scales along dimension 2",
    ),
    "axis negative": (
        _set(lambda t: _output(t, ADD).quantization, quantizedDimension=-1),
        "scales along dimension -1",
    ),
    "several scales": (
        _set(
            lambda t: _output(t, ADD).quantization,
            scale=[0.1] * 6,
            zeroPoint=[0] * 6,
            quantizedDimension=2,
        ),
        "6 scales along dimension 2, expected one for this operand",
    ),
    "several scales of an operand": (
        _set(
            lambda t: _input(t, ADD, 1).quantization,
            scale=[0.1] * 6,
            zeroPoint=[0] * 6,
            quantizedDimension=2,
        ),
        "6 scales along dimension 2, expected one for this operand",
    ),
    "bias scale": (
        _set(lambda t: _input(t, FC, 2).quantization, scale=[1.0] * 6),
        "not that of input times weights",
    ),
    "bias type": (_set(lambda t: _input(t, FC, 2), type=schema.TensorType.FLOAT32), "operands"),
    "operator version": (_set(lambda t: _code(t, FC), version=40), r"version 40, expected 1\.\.14"),
    "operator": (
        _set(lambda t: _code(t, ADD), builtinCode=OPCODES["LSH_PROJECTION"],
             deprecatedBuiltinCode=OPCODES["LSH_PROJECTION"]),
        "no runtime of this tool has this operator",
    ),
    "custom without a name": (
        _set(lambda t: _code(t, ADD), builtinCode=32, deprecatedBuiltinCode=32),
        "custom operator without a name",
    ),
    "operand missing": (lambda t: _op(t, ADD).inputs.pop(), "operands"),
    "operand absent": (lambda t: _op(t, ADD).inputs.__setitem__(1, -1), "operands"),
    "types": (
        _set(lambda t: _input(t, MEAN, 1), type=schema.TensorType.FLOAT32),
        "operands",
    ),
    "no options": (
        _set(lambda t: _op(t, ADD), builtinOptions=None, builtinOptionsType=0),
        "got no options",
    ),
    "other options": (
        _set(lambda t: _op(t, ADD), builtinOptions=schema.MulOptionsT(),
             builtinOptionsType=schema.BuiltinOptions.MulOptions),
        "options of MulOptions, expected AddOptions",
    ),
    "activation": (
        _set(lambda t: _op(t, ADD).builtinOptions, fusedActivationFunction=100),
        "fusedActivationFunction: got 100",
    ),
    "mean axis": (_word(MEAN, 7), "axis 7 of 3"),
    "reshape count": (_word(RESHAPE, 5), "another number of elements"),
    "output shape": (_set(lambda t: _output(t, ADD), shape=[1, 6, 4]), r"\[1, 4, 6\]"),
    "output rank": (_set(lambda t: _output(t, MEAN), shape=[1, 1, 6]), r"expected \[1, 6\]"),
    "variable with data": (_set(lambda t: _input(t, FC, 1), isVariable=True), "variable with data"),
    "graph input twice": (lambda t: t.subgraphs[0].inputs.append(0), "twice"),
    "graph output twice": (
        lambda t: t.subgraphs[0].outputs.append(t.subgraphs[0].outputs[0]),
        "twice",
    ),
    "graph input with a value": (
        lambda t: t.subgraphs[0].inputs.append(_op(t, FC).inputs[1]),
        "that has a value",
    ),
    "written twice": (
        lambda t: _op(t, ADD).outputs.__setitem__(0, _op(t, FC).outputs[0]),
        "has a value already",
    ),
    "huge": (_set(lambda t: _output(t, ADD), shape=[1, 2**31 - 1, 2**31 - 1]), "expected at most"),
}  # fmt: skip


def test_each_fault_is_refused_with_its_reason(content: bytes) -> None:
    for name, (change, expected) in FAULTS.items():
        tree = unpack(content)
        for op in tree.subgraphs[0].operators:
            op.inputs, op.outputs = list(op.inputs), list(op.outputs)
        tree.subgraphs[0].inputs = list(tree.subgraphs[0].inputs)
        tree.subgraphs[0].outputs = list(tree.subgraphs[0].outputs)
        change(tree)
        with pytest.raises(TfliteError) as error:
            parse(pack(tree))
        assert re.search(expected, str(error.value)), f"{name}: {error.value}"


def test_bytes_that_many_tables_share_are_counted_before_they_are_unpacked() -> None:
    """700 KB that would become 30 GB of names."""
    b = flatbuffers.Builder(1024)
    name = b.CreateString("x" * 300_000)
    schema.TensorStart(b)
    schema.TensorAddName(b, name)
    tensor = schema.TensorEnd(b)
    schema.SubGraphStartTensorsVector(b, 100_000)
    for _ in range(100_000):
        b.PrependUOffsetTRelative(tensor)
    tensors = b.EndVector()
    schema.SubGraphStart(b)
    schema.SubGraphAddTensors(b, tensors)
    graph = schema.SubGraphEnd(b)
    schema.ModelStartSubgraphsVector(b, 1)
    b.PrependUOffsetTRelative(graph)
    graphs = b.EndVector()
    schema.ModelStart(b)
    schema.ModelAddVersion(b, 3)
    schema.ModelAddSubgraphs(b, graphs)
    b.Finish(schema.ModelEnd(b), file_identifier=b"TFL3")
    with pytest.raises(TfliteError, match="made to exhaust memory"):
        parse(bytes(b.Output()))


def _registered(name: str, version: int) -> bool:
    """Whether LiteRT has that version of an operator."""
    model, graph, op, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), None
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = OPCODES[name], version
    code.deprecatedBuiltinCode = min(OPCODES[name], 127)
    graph.tensors = [schema.TensorT(), schema.TensorT()]
    for tensor in graph.tensors:
        tensor.shape = [1]
    op.inputs, op.outputs, op.opcodeIndex = [0], [1], 0
    graph.inputs, graph.outputs, graph.operators = [0], [1], [op]
    model.version, model.buffers = 3, [schema.BufferT()]
    model.operatorCodes, model.subgraphs = [code], [graph]
    try:
        Interpreter(
            model_content=pack(model),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    except ValueError as error:
        return "find op" not in str(error)
    return True


def test_versions_are_those_of_litert() -> None:
    for row in ROWS:
        assert _registered(row.name, row.version), row
        assert not _registered(row.name, row.version + 1), row
        assert _registered(row.name, row.oldest), row
        assert not _registered(row.name, row.oldest - 1), row


def test_every_operator_of_a_runtime_has_a_row() -> None:
    assert set(support.TABLE) - set(TABLE) == _NOT_READ


def test_mutants_that_litert_refuses_are_refused(content: bytes) -> None:
    """A sample; `python -m benchmarks.fuzz` runs thousands."""
    corpus = valid(pieces([content]))
    assert len(corpus) > 5
    counts = campaign(corpus, range(250))
    assert counts.passed == []
    assert counts.tracebacks == []
    assert counts.refused > 80
