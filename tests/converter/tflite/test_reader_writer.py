# SPDX-License-Identifier: Apache-2.0
"""Reading and writing `.tflite`: round trips, alignment, damaged and unsuitable files."""

from __future__ import annotations

import contextlib
import dataclasses
import os

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.tflite import (
    Graph,
    Metadata,
    Model,
    Quantization,
    Tensor,
    TfliteError,
    load,
    parse,
    save,
    serialize,
    write_atomic,
)
from converter.tflite.model import Signature
from converter.tflite.writer import misaligned_buffers
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.tflite.flatbuffer_files import outside, pack, unpack


def small_graph() -> PlainGraph:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(size=(1, 3, 6)))
    g.gelu(g.linear(x, 5))
    return g


@pytest.fixture(scope="module")
def content() -> bytes:
    g = small_graph()
    return g.finish(len(g.tensors) - 1)


def test_round_trip_keeps_everything(content: bytes) -> None:
    model = dataclasses.replace(
        parse(content),
        description="a network",
        metadata=(Metadata("note", b"123"), Metadata("other", bytes(40))),
        signatures=(Signature("serving", (("image", 0),), (("logits", 3),)),),
    )
    again = parse(serialize(model))
    assert again.description == "a network"
    assert again.metadata == model.metadata
    assert again.signatures == model.signatures
    assert [o.name for o in again.graph.operators] == ["FULLY_CONNECTED", "GELU"]
    for a, b in zip(model.graph.tensors, again.graph.tensors, strict=True):
        assert (a.name, a.shape, a.dtype) == (b.name, b.shape, b.dtype)
        assert np.array_equal(a.data, b.data) if a.is_constant else not b.is_constant
        if a.quantization is not None:
            assert np.array_equal(a.quantization.scale, b.quantization.scale)
            assert np.array_equal(a.quantization.zero_point, b.quantization.zero_point)
    assert again.graph.operators[0].options.keepNumDims


def test_writing_is_deterministic(content: bytes) -> None:
    model = parse(content)
    assert serialize(model) == serialize(model) == serialize(parse(serialize(model)))


@given(st.lists(st.integers(1, 70), min_size=1, max_size=6), st.integers(0, 40))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_constants_are_aligned(sizes: list[int], metadata: int) -> None:
    rng = np.random.default_rng(sum(sizes))
    tensors = tuple(
        Tensor(f"c{i}", (n,), np.dtype(np.int8), None, rng.integers(-9, 9, n).astype(np.int8))
        for i, n in enumerate(sizes)
    )
    graph = small_graph()
    base = parse(graph.finish(len(graph.tensors) - 1))
    model = dataclasses.replace(
        base,
        graph=dataclasses.replace(base.graph, tensors=base.graph.tensors + tensors),
        metadata=(Metadata("m", bytes(metadata)),),
    )
    content = serialize(model)
    assert misaligned_buffers(content) == []
    # The same by the bytes: each constant is found at a multiple of 16.
    root = schema.Model.GetRootAs(content, 0)
    for i in range(root.BuffersLength()):
        data = root.Buffers(i).DataAsNumpy()
        if isinstance(data, np.ndarray):
            start = (
                data.__array_interface__["data"][0]
                - np.frombuffer(content, np.uint8).__array_interface__["data"][0]
            )
            assert start % 16 == 0


def test_generated_packer_alone_would_misalign(content: bytes) -> None:
    """The check can fail: TFLite's own writer puts data at odd places."""
    tree = unpack(content)
    tree.description = b"x" * 3
    assert misaligned_buffers(pack(tree))


def test_equal_constants_share_a_buffer() -> None:
    data = np.arange(64, dtype=np.int8)
    tensors = tuple(Tensor(n, (64,), data.dtype, None, data) for n in "ab")
    g = small_graph()
    base = parse(g.finish(len(g.tensors) - 1))
    model = dataclasses.replace(
        base, graph=dataclasses.replace(base.graph, tensors=base.graph.tensors + tensors)
    )
    assert serialize(model).count(data.tobytes()) == 1


def test_weights_outside_the_flatbuffer(content: bytes) -> None:
    moved = outside(content)
    assert serialize(parse(moved)) == serialize(parse(content))
    with pytest.raises(TfliteError, match="truncated"):
        parse(moved[:-1])


@pytest.mark.parametrize("size", [0, 3, 8, 20, 100])
def test_truncated(content: bytes, size: int) -> None:
    with pytest.raises(TfliteError):
        parse(content[:size])


@given(st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_damage_is_an_error_or_a_valid_file(data: st.DataObject) -> None:
    g = small_graph()
    content = bytearray(g.finish(len(g.tensors) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TfliteError):
        parse(bytes(content))


@pytest.mark.parametrize(
    ("begin", "remedy"),
    [
        (b"PK\x03\x04\x14\x00", "converter.quantize --network"),
        (b"\x89HDF\r\n\x1a\n", "converter.quantize --network"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_people_give_instead_has_a_remedy(begin: bytes, remedy: str) -> None:
    with pytest.raises(TfliteError, match=f"not a .tflite file.*{remedy}"):
        parse(begin + bytes(64))


def test_wrong_identifier(content: bytes) -> None:
    with pytest.raises(TfliteError, match=r"identifier b'TFL9'.*b'TFL3'"):
        parse(content[:4] + b"TFL9" + content[8:])


def test_several_subgraphs(content: bytes) -> None:
    tree = unpack(content)
    tree.subgraphs.append(tree.subgraphs[0])
    with pytest.raises(TfliteError, match="got 2 subgraphs, expected 1"):
        parse(pack(tree))


def two_functions(content: bytes) -> bytes:
    """A second function without the last operator; buffers and operator codes are shared."""
    tree, other = unpack(content), unpack(content).subgraphs[0]
    other.operators = other.operators[:1]
    other.outputs = other.operators[0].outputs
    tree.subgraphs.append(other)
    tree.signatureDefs = []
    for index, name in enumerate(("logits", "features")):
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = name, index
        signature.inputs, signature.outputs = [], []
        tree.signatureDefs.append(signature)
    return pack(tree)


def test_one_of_several_functions_is_chosen(content: bytes) -> None:
    several = two_functions(content)
    with pytest.raises(TfliteError, match=r"2 signatures, 'logits', 'features', .*--signature="):
        parse(several)
    with pytest.raises(TfliteError, match="got signature 'x', expected one of 'logits'"):
        parse(several, "x")
    assert [o.name for o in parse(several, "logits").graph.operators] == ["FULLY_CONNECTED", "GELU"]
    features = parse(several, "features")
    assert [o.name for o in features.graph.operators] == ["FULLY_CONNECTED"]
    assert [s.key for s in features.signatures] == ["features"]
    again = parse(serialize(features))
    assert [o.name for o in again.graph.operators] == ["FULLY_CONNECTED"]


def test_a_function_that_calls_another_is_refused(content: bytes) -> None:
    tree = unpack(two_functions(content))
    tree.operatorCodes[0].builtinCode = schema.BuiltinOperator.WHILE
    tree.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.WHILE
    with pytest.raises(TfliteError, match=r"operator 0 \(WHILE\): control flow"):
        parse(pack(tree), "logits")


def test_dynamic_shape_says_what_to_do(content: bytes) -> None:
    tree = unpack(content)
    tree.subgraphs[0].tensors[0].shape = [-1, 3, 6]
    with pytest.raises(TfliteError, match=r"dynamic shape \[-1, 3, 6\].*input_signature"):
        parse(pack(tree))


def test_unsupported_type(content: bytes) -> None:
    tree = unpack(content)
    tree.subgraphs[0].tensors[0].type = schema.TensorType.COMPLEX64
    with pytest.raises(TfliteError, match="COMPLEX64"):
        parse(pack(tree))


def test_wrong_indices(content: bytes) -> None:
    tree = unpack(content)
    tree.subgraphs[0].operators[0].inputs = [99]
    with pytest.raises(TfliteError, match="tensor 99"):
        parse(pack(tree))
    tree = unpack(content)
    tree.subgraphs[0].operators[0].opcodeIndex = 7
    with pytest.raises(TfliteError, match="operator code 7"):
        parse(pack(tree))
    tree = unpack(content)
    tree.subgraphs[0].tensors[1].buffer = 77
    with pytest.raises(TfliteError, match="buffer 77"):
        parse(pack(tree))


def test_wrong_constant_size(content: bytes) -> None:
    tree = unpack(content)
    tree.subgraphs[0].tensors[1].shape = [5, 7]
    with pytest.raises(TfliteError, match="30 bytes of data, expected 35"):
        parse(pack(tree))


def test_read_before_written(content: bytes) -> None:
    tree = unpack(content)
    tree.subgraphs[0].operators.reverse()
    with pytest.raises(TfliteError, match="nothing has written yet"):
        parse(pack(tree))


def test_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(TfliteError, match=r"missing\.tflite: cannot read"):
        load(str(tmp_path / "missing.tflite"))


def test_save_and_load(tmp_path, content: bytes) -> None:
    path = str(tmp_path / "deep" / "model.tflite")
    save(parse(content), path)
    assert serialize(load(path)) == serialize(parse(content))
    assert os.listdir(os.path.dirname(path)) == ["model.tflite"]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_real_values_per_channel() -> None:
    data = np.array([[1, 2], [3, 4]], np.int8)
    q = Quantization(np.array([0.5, 2.0], np.float32), np.array([0, 1]), axis=0)
    t = Tensor("w", (2, 2), data.dtype, q, data)
    assert t.real().tolist() == [[0.5, 1.0], [4.0, 6.0]]
    with pytest.raises(TfliteError, match="single scale"):
        t.scale  # noqa: B018
    assert isinstance(Model(Graph((t,), (), (), ())), Model)
