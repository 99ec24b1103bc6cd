# SPDX-License-Identifier: Apache-2.0
"""`fuse --int8_io`: the int8 network between float or uint8 ends, and nothing else, remains."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tflm_vit
from converter.contract import Stated, rewritten
from converter.contract.metadata_reading import stated_by
from converter.fuse import __main__ as command
from converter.fuse.int8_io import remark_on_ends, with_int8_io
from converter.runtimes import open_runtime
from converter.tflite import (
    Graph,
    Model,
    Operator,
    Quantization,
    Tensor,
    TfliteError,
    parse,
    serialize,
)
from converter.tflite.model import Signature
from keras_models.datasets.normalization import Normalization
from tests.converter.fuse.gate.networks import network
from tests.converter.fuse.plain_graph import options
from tests.converter.tflite.test_reader_writer import two_functions

ENDS = [("float32", "float32"), ("uint8", "float32"), ("uint8", "uint8"), ("int8", "uint8")]


def _outside(inside: Tensor, name: str, dtype: str) -> Tensor:
    """The tensor at an end, of the same values."""
    kind, q = np.dtype(dtype), inside.quantization
    shifted = Quantization.per_tensor(inside.scale, inside.zero_point + 128)
    quantization = {"float32": None, "uint8": shifted, "int8": q}[dtype]
    return Tensor(name, inside.shape, kind, quantization)


def with_ends(content: bytes, first: str, last: str) -> bytes:
    """What a converter makes of the network for ends of these types."""
    model = parse(content)
    graph = model.graph
    (x,), (y,) = graph.inputs, graph.outputs
    tensors = [*graph.tensors]
    operators = list(graph.operators)
    if first != "int8":
        tensors.append(_outside(tensors[x], "outer_x", first))
        operators.insert(0, Operator("QUANTIZE", (len(tensors) - 1,), (x,)))
        x = len(tensors) - 1
    if last != "int8":
        tensors.append(_outside(tensors[y], "outer_y", last))
        kind = "DEQUANTIZE" if last == "float32" else "QUANTIZE"
        operators.append(Operator(kind, (y,), (len(tensors) - 1,)))
        y = len(tensors) - 1
    changed = Graph(tuple(tensors), tuple(operators), (x,), (y,))
    signature = Signature("serving", (("photo", x),), (("scores", y),))
    return serialize(dataclasses.replace(model, graph=changed, signatures=(signature,)))


@pytest.mark.parametrize(("first", "last"), ENDS)
def test_what_remains_is_the_network_between(first: str, last: str) -> None:
    inner, cut = parse(network()), parse(with_int8_io(with_ends(network(), first, last)))
    assert [op.opcode for op in cut.graph.operators] == [op.opcode for op in inner.graph.operators]
    for ends, wanted in (
        (cut.graph.inputs, inner.graph.inputs),
        (cut.graph.outputs, inner.graph.outputs),
    ):
        (found,), (tensor,) = ends, wanted
        got, expected = cut.graph.tensors[found], inner.graph.tensors[tensor]
        assert (got.name, got.dtype, got.shape) == (expected.name, np.int8, expected.shape)
        assert (got.scale, got.zero_point) == (expected.scale, expected.zero_point)
    (signature,) = cut.signatures
    assert signature.inputs == (("photo", cut.graph.inputs[0]),)
    assert signature.outputs == (("scores", cut.graph.outputs[0]),)
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, inner.graph.tensors[inner.graph.inputs[0]].shape).astype(np.int8)
    runs = [open_runtime("reference", serialize(m)).run(x) for m in (inner, cut)]
    assert (runs[0][0] == runs[1][0]).all()


def test_the_python_interface_does_the_same() -> None:
    plain = with_ends(network(), "float32", "float32")
    graph = parse(tflm_vit.fuse(plain, int8_io=True).model_bytes).graph
    assert {str(graph.tensors[i].dtype) for i in (*graph.inputs, *graph.outputs)} == {"int8"}


def test_int8_ends_are_left_as_they_are() -> None:
    assert with_int8_io(network()) is network()
    assert remark_on_ends(parse(network()).graph) is None


def _gathered(*, read_twice: bool = False) -> Model:
    """A table of rows by number: an input of int32; optionally a float input with two readers."""
    q = Quantization.per_tensor(0.5, 0)
    int8, real = np.dtype(np.int8), np.dtype(np.float32)
    tensors = (
        Tensor("number", (1,), np.dtype(np.int32)),
        Tensor("table", (4, 3), int8, q, np.arange(12, dtype=np.int8).reshape(4, 3)),
        Tensor("row", (1, 3), int8, q),
        Tensor("x", (1, 3), real),
        Tensor("inside", (1, 3), int8, q),
        Tensor("sum", (1, 3), int8, q),
        Tensor("y", (1, 3), real),
        Tensor("other", (1, 3), real),
    )
    gather = Operator("GATHER", (1, 0), (2,), **options("GatherOptions", axis=0))
    both = Operator("ADD", (2, 4), (5,), **options("AddOptions"))
    ops = [gather, Operator("QUANTIZE", (3,), (4,)), both, Operator("DEQUANTIZE", (5,), (6,))]
    outputs = (6,)
    if read_twice:
        ops.append(Operator("ADD", (3, 6), (7,), **options("AddOptions")))
        outputs = (7,)
    return Model(Graph(tensors, tuple(ops), (0, 3), outputs))


def test_whole_numbers_stay_and_several_inputs_are_cut() -> None:
    cut = parse(with_int8_io(serialize(_gathered()))).graph
    assert [str(cut.tensors[i].dtype) for i in cut.inputs] == ["int32", "int8"]
    assert [op.opcode for op in cut.operators] == ["GATHER", "ADD"]
    x = np.array([[1, 2, 3]], np.int8)
    runtime = open_runtime("reference", with_int8_io(serialize(_gathered())))
    assert runtime.run(np.array([1], np.int32), x)[0].tolist() == [[4, 6, 8]]


def test_an_end_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(TfliteError, match="--int8_io: got input 'x' of float32"):
        with_int8_io(serialize(_gathered(read_twice=True)))
    twice = _gathered()
    graph = dataclasses.replace(twice.graph, outputs=(6, 5))
    with pytest.raises(TfliteError, match="--int8_io: got output 'y' of float32"):
        with_int8_io(serialize(dataclasses.replace(twice, graph=graph)))


def test_the_command_makes_a_classifier_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, fused = tmp_path / "plain.tflite", tmp_path / "fused.tflite"
    plain.write_bytes(with_ends(network(), "uint8", "float32"))
    names = tmp_path / "names.txt"
    names.write_text("".join(f"class {i}\n" for i in range(10)), encoding="utf-8")
    words = [f"--model={plain}", f"--out={fused}", "--mean=0", "--std=60", f"--labels={names}"]
    command.main(words)
    assert "inputs and outputs of float32 and uint8 stay" in capsys.readouterr().out
    command.main([*words, "--int8_io", "--streamed"])
    assert "stay" not in capsys.readouterr().out
    model = parse(fused.read_bytes())
    assert all(
        model.graph.tensors[i].dtype == np.int8 for i in (*model.graph.inputs, *model.graph.outputs)
    )
    assert stated_by(model).class_names[3] == "class 3"


def test_a_signature_is_chosen_before_flags_say_what_an_image_is() -> None:
    """Of a file with two, --signature, --int8_io and --mean go together."""
    content = with_ends(network(), "uint8", "float32")
    several, given = two_functions(content), Stated(Normalization((0.0,), (60.0,)))
    with pytest.raises(TfliteError, match="--signature"):
        rewritten(several, given)
    cut = with_int8_io(several, "logits")
    for chosen in (rewritten(several, given, "logits"), rewritten(cut, given, "logits")):
        assert stated_by(parse(chosen)).normalization == given.normalization
