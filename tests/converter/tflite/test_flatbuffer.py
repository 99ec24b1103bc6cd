# SPDX-License-Identifier: Apache-2.0
"""The schema as data against the classes that LiteRT ships: the same objects, the same bytes."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as generated
from hypothesis import given
from hypothesis import strategies as st

from converter.tflite.flatbuffer import pack, schema, unpack
from converter.tflite.flatbuffer.declared import Kind, enumerations, fields, members, tables
from converter.tflite.flatbuffer.generate import SCHEMA, schema_text
from converter.tflite.operator_table import ROWS

# A table of the model, and the rest below it.
REACHED = ("Model", "SubGraph", "Tensor", "Operator", "Buffer", "OperatorCode", "SignatureDef")


def test_the_checked_in_schema_is_that_of_litert() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text()


def test_every_offset_is_known() -> None:
    """What a field leads to is a scalar, a string, a declared table or a declared union."""
    for table in tables():
        for field in fields(table):
            if field.kind in (Kind.TABLE, Kind.TABLES):
                assert field.of in tables()
            if field.kind is Kind.UNION:
                assert set(members(field.of).values()) <= set(tables())
                assert fields(table)[field.slot - 1].name == f"{field.name}Type"
    assert {row.options for row in ROWS if row.options} <= set(enumerations()["BuiltinOptions"])


def test_a_field_that_a_table_lacks_is_refused() -> None:
    with pytest.raises(TypeError, match="Pool2DOptions: got a field 'stride'"):
        schema.Pool2DOptionsT(stride=2)


SCALARS = {
    "Bool": st.booleans(), "Int8": st.integers(-128, 127), "Uint8": st.integers(0, 255),
    "Int32": st.integers(-(2**31), 2**31 - 1), "Uint32": st.integers(0, 2**32 - 1),
    "Int64": st.integers(-(2**63), 2**63 - 1), "Uint64": st.integers(0, 2**64 - 1),
    "Float32": st.floats(width=32, allow_nan=False), "Uint16": st.integers(0, 65535),
}  # fmt: skip


@st.composite
def trees(draw: st.DrawFn, table: str, depth: int = 4) -> Any:
    """A random object of the generated classes."""
    made = getattr(generated, f"{table}T")()
    for field in fields(table):
        if field.kind is Kind.UNION:
            said = f"{field.name}Type"
            chosen = draw(st.sampled_from([0, *members(field.of)]))
            setattr(made, said, chosen)
            below = draw(trees(members(field.of)[chosen], depth - 1)) if chosen else None
            setattr(made, field.name, below)
        elif field.name.endswith("Type") and hasattr(made, field.name.removesuffix("Type")):
            continue
        elif field.kind is Kind.SCALAR:
            if draw(st.booleans()):
                setattr(made, field.name, draw(SCALARS[field.of]))
        elif depth and draw(st.integers(0, 3)):
            setattr(made, field.name, draw(_values(field.kind, field.of, depth)))
    return made


def _values(kind: Kind, of: str, depth: int) -> st.SearchStrategy[Any]:
    if kind is Kind.STRING:
        return st.text(max_size=5).map(str.encode)
    if kind is Kind.TABLE:
        return trees(of, depth - 1)
    if kind is Kind.TABLES:
        return st.lists(trees(of, depth - 1), max_size=2)
    form = {"Bool": np.bool_, "Float32": np.float32}.get(of) or np.dtype(of.lower())
    return st.lists(SCALARS[of], max_size=5).map(lambda values: np.array(values, form))


def _same(ours: Any, theirs: Any) -> None:
    """Trees are equal, also in the types of their numbers."""
    if hasattr(theirs, "__dict__"):
        assert type(ours).__name__ == type(theirs).__name__
        assert list(vars(ours)) == list(vars(theirs))
        for name, value in vars(theirs).items():
            _same(getattr(ours, name), value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            _same(one, other)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


@given(st.sampled_from(REACHED).flatmap(lambda table: trees(table, 3).map(lambda t: (table, t))))
def test_objects_and_bytes_are_those_of_the_generated_classes(drawn: tuple[str, Any]) -> None:
    table, tree = drawn
    model = tree if table == "Model" else _around(table, tree)
    for buffer in model.buffers or ():
        buffer.data = None  # theirs is not aligned
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    content = bytes(builder.Output())
    read = unpack(content)
    _same(read, generated.ModelT.InitFromObj(generated.Model.GetRootAs(content, 0)))
    assert pack(read) == content
    assert pack(model) == content  # objects of the generated classes too


def _around(table: str, tree: Any) -> Any:
    """The model that holds nothing but this."""
    model, graph = generated.ModelT(), generated.SubGraphT()
    owners = {"SubGraph": (model, "subgraphs"), "Tensor": (graph, "tensors"),
              "Operator": (graph, "operators"), "Buffer": (model, "buffers"),
              "OperatorCode": (model, "operatorCodes"),
              "SignatureDef": (model, "signatureDefs")}  # fmt: skip
    owner, name = owners[table]
    setattr(owner, name, [tree])
    if owner is graph:
        model.subgraphs = [graph]
    return model


def test_every_table_has_the_defaults_of_the_generated_class() -> None:
    for table in tables():
        _same(getattr(schema, f"{table}T")(), getattr(generated, f"{table}T")())
