# SPDX-License-Identifier: Apache-2.0
"""Token numbers of int64, as PyTorch has them: no runtime looks them up; --int8_io makes int32."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from converter.fuse import __main__ as command
from converter.fuse import fuse_model
from converter.fuse.int8_io import remark_on_ends, with_int8_io
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Operator, Tensor, TfliteError, parse
from tests.converter.fuse.blocks import AttentionSpelling, attention
from tests.converter.fuse.plain_graph import PlainGraph, options

_ROWS = 20


def _text(number: int = _ROWS) -> bytes:
    """Rows of a table by numbers of int64, counted from the end where they are negative."""
    s = AttentionSpelling()
    g = PlainGraph(np.random.default_rng(3))
    table = g.activation(g.rng.normal(size=(_ROWS, s.embed_dim)), name="table")
    g.tensors[table] = dataclasses.replace(g.tensors[table], data=g.quantized(table))
    ids = np.arange(s.tokens).reshape(1, -1)

    def long(name: str, value: np.ndarray, constant: bool = False) -> int:
        data = value.astype(np.int64) if constant else None
        return g._add(Tensor(name, value.shape, np.dtype(np.int64), None, data), value)

    x, rows = long("ids", ids), long("rows", np.array([number]), constant=True)
    zero, below = long("zero", np.array([0]), constant=True), long("below", ids)
    less = g._add(Tensor("less", ids.shape, np.dtype(np.bool_), None), ids < 0)
    found = long("found", ids)
    g.inputs.append(x)
    g.operators += [
        Operator("LESS", (x, zero), (less,), **options("LessOptions")),
        Operator("ADD", (x, rows), (below,), version=4, **options("AddOptions")),
        Operator("SELECT_V2", (less, below, x), (found,), **options("SelectV2Options")),
    ]
    opts = options("GatherOptions", axis=0, batchDims=0)
    h = g.op("GATHER", [table, found], g.value(table)[ids], like=table, **opts)
    return g.finish(attention(g, h, s))


def test_the_same_in_every_runtime() -> None:
    content = _text()
    graph = parse(with_int8_io(content)).graph
    assert not any(t.dtype == np.int64 for t in graph.tensors)
    fused = plan_model(fuse_model(with_int8_io(content)).model_bytes).model_bytes
    shape = graph.tensors[graph.inputs[0]].shape
    ids = np.random.default_rng(0).integers(-_ROWS, _ROWS, shape)
    short, whole = with_int8_io(content), content
    want = open_runtime("litert", whole).run(ids)
    np.testing.assert_array_equal(open_runtime("litert", short).run(ids.astype(np.int32)), want)
    (reference,) = open_runtime("reference", fused).run(ids.astype(np.int32))
    for name in ("host", "tflm"):
        (got,) = open_runtime(name, fused).run(ids.astype(np.int32))
        np.testing.assert_array_equal(got, reference)


def test_what_int32_does_not_hold_is_refused() -> None:
    with pytest.raises(TfliteError, match="constant of int64 'rows' beyond 32 bits"):
        with_int8_io(_text(2**40))


def test_the_command_says_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, out = tmp_path / "plain.tflite", tmp_path / "fused.tflite"
    plain.write_bytes(_text())
    assert "(--int8_io)" in (remark_on_ends(parse(_text()).graph) or "")
    with pytest.raises(SystemExit):
        command.main([f"--model={plain}", f"--out={out}"])
    said = capsys.readouterr().err
    assert "no runtime runs it" in said
    assert "runtimes need int32 ones (--int8_io)" in said
    command.main([f"--model={plain}", f"--out={out}", "--int8_io"])
    assert "compiled runtime: runs it" in capsys.readouterr().out
