# SPDX-License-Identifier: Apache-2.0
"""What LiteRT refuses, or TFLM aborts on, the reader refuses with the reason."""

from __future__ import annotations

import dataclasses
import re
import struct
import time
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz.campaign import campaign, valid
from benchmarks.fuzz.corpus import pieces
from converter import support
from converter.tflite import Quantization, TfliteError, parse
from converter.tflite.operator_table import ROWS, TABLE
from converter.tflite.schema import OPCODES
from converter.tflite.verifier import FlatbufferError, verify
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


def test_a_softmax_of_another_scale_is_refused_with_the_remedy() -> None:
    """PT2E writes the scale that it saw; LiteRT takes 1/256 alone."""
    g = PlainGraph(np.random.default_rng(0))
    y = g.softmax(g.input(g.rng.normal(size=(1, 4, 6))))
    seen = Quantization.per_tensor(2.5e-4, -128)
    g.tensors[y] = dataclasses.replace(g.tensors[y], quantization=seen)
    said = "expected 0.00390625 and -128, as every runtime does; give it that type, or leave"
    with pytest.raises(TfliteError, match=said):
        parse(g.finish(y))


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
        _set(lambda t: _input(t, FC, 1).quantization, quantizedDimension=1),
        "6 scales along dimension 1, expected one for this operand",
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
    "graph output with several scales": (
        lambda t: t.subgraphs[0].outputs.append(_op(t, FC).inputs[1]),
        "6 scales of",
    ),
    "graph input with a value": (
        lambda t: t.subgraphs[0].inputs.append(_op(t, FC).inputs[1]),
        "that has a value",
    ),
    "written twice": (
        lambda t: _op(t, ADD).outputs.__setitem__(0, _op(t, FC).outputs[0]),
        "has a value already",
    ),
    "scale too large": (_scale(3e38), "scale too large for sums"),
    "quantization of another kind": (
        _set(
            lambda t: _output(t, ADD).quantization,
            scale=None,
            zeroPoint=None,
            detailsType=schema.QuantizationDetails.BlockwiseQuantization,
            details=schema.BlockwiseQuantizationT(),
        ),
        "details of its own",
    ),
    "tensor inside an operator that is none": (  # TFLM's wheel crashes on it
        _set(lambda t: _op(t, ADD), intermediates=[-1]), "got tensor -1, expected 0",
    ),
    "data of another file": (_set(lambda t: _input(t, FC, 1), externalBuffer=1), "another file"),
    "sparse": (_set(lambda t: _input(t, FC, 1), sparsity=schema.SparsityParametersT()), "sparse"),
    "options behind the file": (
        _set(lambda t: _op(t, ADD), largeCustomOptionsOffset=64), "behind the flatbuffer",
    ),
    "signature without a name": (
        _set(lambda t: t, signatureDefs=[schema.SignatureDefT()]), "signature without a name",
    ),
    "name that is no text": (_set(lambda t: _output(t, ADD), name=b"\xff"), "not UTF-8"),
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


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_convolution_needs_its_bias(depthwise: bool) -> None:
    """LiteRT refuses CONV_2D without one and crashes on DEPTHWISE_CONV_2D."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(size=(1, 6, 6, 4)))
    content = g.finish(g.convolution(x, 4, 3, depthwise=depthwise))
    assert parse(content).graph.operators
    tree = unpack(content)
    (op,) = tree.subgraphs[0].operators
    op.inputs = op.inputs[:2]
    with pytest.raises(TfliteError, match="operands"):
        parse(pack(tree))


def test_a_layer_scales_its_sums_by_less_than_256() -> None:
    """XNNPACK, which LiteRT takes by itself, has no such layer."""
    g = PlainGraph(np.random.default_rng(0))
    content = g.finish(g.linear(g.input(g.rng.normal(size=(1, 4, 6))), 6))
    for factor, taken in ((1.0, True), (1e-7, False)):
        tree = unpack(content)
        scales = _output(tree, FC).quantization
        scales.scale = [float(scales.scale[0]) * factor]
        _op(tree, FC).inputs = [
            *_op(tree, FC).inputs[:2],
            -1,
        ]  # a bias' scale has a rule of its own
        if taken:
            parse(pack(tree))
        else:
            with pytest.raises(TfliteError, match="too small for products"):
                parse(pack(tree))


@given(st.integers(0, 10_000), st.booleans(), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_sums_that_leave_32_bits_are_counted_in_larger_steps(
    seed: int, uneven: bool, beyond: int
) -> None:
    """TFLM lets them overflow: the result was the least value in the place of the greatest."""
    rng = np.random.default_rng(seed)
    g = PlainGraph(rng)
    content = g.finish(g.linear(g.input(rng.normal(size=(1, 2, 3))), 4))
    graph = parse(content).graph
    x, w, b = (graph.tensors[i] for i in graph.operators[0].inputs)
    assert w.data is not None
    reach = max(127 - x.zero_point, x.zero_point + 128)
    most = (1 << 31) - 1 - reach * np.abs(w.data.astype(np.int64)).sum(1)
    tree = unpack(content)
    data = np.array(b.data)
    channel = int(rng.integers(4))
    data[channel] = min(int(most[channel]) + beyond, (1 << 31) - 1) * (-1 if uneven else 1)
    tree.buffers[_input(tree, FC, 2).buffer].data = list(data.tobytes())
    found = parse(pack(tree)).graph
    _, weights, sums = (found.tensors[i] for i in found.operators[0].inputs)
    assert weights.data is not None
    assert sums.data is not None
    away = np.abs(weights.data.astype(np.int64)).sum(1)
    assert np.all(reach * away + np.abs(sums.data.astype(np.int64)) < 1 << 31)
    halved = data.astype(np.float64) / ([2 if i == channel and beyond else 1 for i in range(4)])
    np.testing.assert_array_equal(sums.data, np.rint(halved))


def test_what_leads_out_of_the_file_is_refused(content: bytes) -> None:
    (root,) = struct.unpack_from("<I", content)
    for by in (1, 2):  # all tables off their alignment
        moved = struct.pack("<I", root + by) + content[4:8] + bytes(by) + content[8:]
        with pytest.raises(FlatbufferError, match="no multiple of 4"):
            verify(moved)
    for offset in (0, len(content), 2**31, 2**32 - 4):
        with pytest.raises(FlatbufferError):
            verify(struct.pack("<I", offset) + content[4:])
    for vtable in (-4 * len(content), 4 * len(content), 2**31 - 4):  # before the file, behind it
        with pytest.raises(FlatbufferError, match="vtable"):
            verify(content[:root] + struct.pack("<i", vtable) + content[root + 4 :])


def test_a_vector_that_many_tables_share_is_walked_once() -> None:
    """Half a megabyte; walked for each of its 60,000 graphs it would take hours."""
    b = flatbuffers.Builder(1024)
    schema.TensorStart(b)
    tensor = schema.TensorEnd(b)
    schema.SubGraphStartTensorsVector(b, 60_000)
    for _ in range(60_000):
        b.PrependUOffsetTRelative(tensor)
    tensors = b.EndVector()
    graphs = []
    for _ in range(6_000):
        schema.SubGraphStart(b)
        schema.SubGraphAddTensors(b, tensors)
        graphs.append(schema.SubGraphEnd(b))
    schema.ModelStartSubgraphsVector(b, len(graphs))
    for graph in graphs:
        b.PrependUOffsetTRelative(graph)
    vector = b.EndVector()
    schema.ModelStart(b)
    schema.ModelAddVersion(b, 3)
    schema.ModelAddSubgraphs(b, vector)
    b.Finish(schema.ModelEnd(b), file_identifier=b"TFL3")
    started = time.process_time()
    verify(bytes(b.Output()))
    assert time.process_time() - started < 5


def test_an_operator_of_thousands_of_operands_is_checked_in_linear_time() -> None:
    """Looking at all of them once for each of them took a quarter of a minute."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(size=(1, 1)))
    content = g.finish(g.concatenation([x, x], 1))
    tree = unpack(content)
    _op(tree, 0).inputs = [0] * 10_000
    _output(tree, 0).shape = [1, 10_000]
    started = time.process_time()
    parse(pack(tree))
    assert time.process_time() - started < 2


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


@pytest.mark.parametrize(("kind", "remedy"), [("RESOURCE", "from_saved_model"), ("STRING", "int8")])
def test_types_that_no_runtime_has_are_refused_with_what_to_do(kind: str, remedy: str) -> None:
    """Weights stay variables where a concrete function was not frozen."""
    tree = unpack(block())
    tree.subgraphs[0].tensors[0].type = getattr(schema.TensorType, kind)
    with pytest.raises(TfliteError, match=rf"got type {kind}, .*{remedy}"):
        parse(pack(tree))
