# SPDX-License-Identifier: Apache-2.0
"""The verdict on a file agrees with the runtimes, and the commands act on it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.runtimes.interface import RuntimeUnavailableError
from converter.support import verdicts
from converter.support.verdict import COMPILED, DEVICE, WHEEL
from converter.tflite import Graph, Model, Operator, Quantization, Tensor, parse, serialize
from tests.commands import run_here
from tests.converter.fuse.blocks import AttentionSpelling, attention, mlp, token_input
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.support.models import moved

SPELLING = AttentionSpelling()
Q = Quantization.per_tensor


def block(mask: bool = False) -> bytes:
    g = PlainGraph(np.random.default_rng(1))
    x = token_input(g, SPELLING.tokens, SPELLING.embed_dim)
    return g.finish(mlp(g, attention(g, x, dataclasses.replace(SPELLING, mask=mask))))


def runs(content: bytes) -> dict[str, bool]:
    return {v.runtime: v.runs for v in verdicts(parse(content).graph)}


def test_fused_blocks_run_everywhere() -> None:
    assert runs(fuse_model(block()).model_bytes) == {COMPILED: True, WHEEL: True, DEVICE: True}


@pytest.mark.parametrize("mask", [False, True])
def test_verdict_is_what_the_runtimes_do(mask: bool) -> None:
    content = plan_model(fuse_model(block(mask)).model_bytes).model_bytes
    said = runs(content)
    for name, runtime in (("host", COMPILED), ("tflm", WHEEL)):
        try:
            open_runtime(name, content)
        except RuntimeUnavailableError:
            assert not said[runtime]
        else:
            assert said[runtime]


def test_reasons_name_what_is_missing() -> None:
    graph = parse(block(mask=True)).graph
    operators = tuple(
        dataclasses.replace(op, opcode="CUMSUM") if op.opcode == "BATCH_MATMUL" else op
        for op in graph.operators
    )
    (compiled, *_) = verdicts(dataclasses.replace(graph, operators=operators))
    assert "no CUMSUM (2 of them)" in compiled.reasons


def test_reasons_name_types_and_ranks() -> None:
    content, _ = moved("TRANSPOSE", 6)
    _, wheel, device = verdicts(parse(content).graph)
    assert wheel.reasons == ("TRANSPOSE of 6 dimensions, it has up to 5",)
    assert device.reasons == wheel.reasons
    assert "does not run it" in str(wheel)


def test_zero_points_that_tflm_ignores_are_named() -> None:
    """TFLM's layers with a scale a channel take every weight's zero point for 0."""
    graph = parse(block()).graph
    tensors = list(graph.tensors)
    for op in graph.operators:
        if op.opcode == "FULLY_CONNECTED":
            w = tensors[op.inputs[1]]
            assert w.quantization is not None
            q = dataclasses.replace(w.quantization, zero_point=w.quantization.zero_point + 3)
            tensors[op.inputs[1]] = dataclasses.replace(w, quantization=q)
    compiled, wheel, _ = verdicts(dataclasses.replace(graph, tensors=tuple(tensors)))
    assert compiled.runs
    assert "FULLY_CONNECTED whose weights have zero points, it takes them for 0" in str(wheel)


def test_damaged_fused_operator_runs_nowhere() -> None:
    model = parse(fuse_model(block()).model_bytes)
    op = dataclasses.replace(model.graph.operators[0], custom_options=b"\0" * 16)
    graph = dataclasses.replace(model.graph, operators=(op, *model.graph.operators[1:]))
    assert not any(v.runs for v in verdicts(graph))
    serialize(dataclasses.replace(model, graph=graph))


def fuse(tmp_path: Path, plain: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "plain.tflite"
    path.write_bytes(plain)
    out = f"--out={tmp_path / 'fused.tflite'}"
    return run_here("converter.fuse", f"--model={path}", out, *arguments)


def test_command_prints_what_runs_the_file(tmp_path: Path) -> None:
    done = fuse(tmp_path, block(), f"--json={tmp_path / 'report.json'}")
    assert done.returncode == 0, done.stderr
    for runtime in (COMPILED, WHEEL, DEVICE):
        assert f"{runtime}: runs it" in done.stdout
    assert "from the float network, on probe inputs: plain" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry["runs"] for entry in report["runtimes"]] == [True] * 3
    shown = run_here("converter.inspect", f"--model={tmp_path / 'fused.tflite'}").stdout
    assert f"{COMPILED}: runs it" in shown


def nothing_to_fuse() -> bytes:
    g = PlainGraph(np.random.default_rng(1))
    x = token_input(g, 4, 6)
    return g.finish(g.add(x, g.constant(np.array(1.0))))


def test_nothing_fused_writes_nothing(tmp_path: Path) -> None:
    done = fuse(tmp_path, nothing_to_fuse())
    assert done.returncode == 1
    assert "nothing was fused" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "fused.tflite").exists()
    allowed = fuse(tmp_path, nothing_to_fuse(), "--allow_unfused")  # the remedy that is printed
    assert allowed.returncode == 0, allowed.stderr
    assert (tmp_path / "fused.tflite").exists()


def test_file_that_nothing_runs_is_not_written(tmp_path: Path) -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = token_input(g, 4, 6)
    product = g.value(x).prod(axis=2, keepdims=True)
    opts = options("ReducerOptions", keepDims=True)
    y = g.linear(g.op("REDUCE_PROD", [x, g.indices(2)], product, **opts), 3)
    done = fuse(tmp_path, g.finish(y), "--plan=false")
    assert done.returncode == 1
    assert "no runtime runs it" in done.stderr
    assert "no REDUCE_PROD" in done.stderr
    assert not (tmp_path / "fused.tflite").exists()
    done = fuse(tmp_path, g.finish(y), "--plan=false", "--allow_unfused")
    assert done.returncode == 0, done.stderr
    assert "does not run it: no REDUCE_PROD" in done.stdout


def test_a_layer_of_int16_is_rounded_otherwise_by_tflm() -> None:
    """One scale or several: its multipliers have 16 bits there, and a result may be a step away."""
    q = Q(0.01, 0)
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (8, 16)).astype(np.int8)
    tensors = (
        Tensor("x", (1, 16), np.dtype(np.int16), q),
        Tensor("w", weights.shape, weights.dtype, q, weights),
        Tensor("b", (8,), np.dtype(np.int64), Q(1e-4, 0), np.zeros(8, np.int64)),
        Tensor("y", (1, 8), np.dtype(np.int16), q),
    )  # fmt: skip
    op = Operator("FULLY_CONNECTED", (0, 1, 2), (3,), version=4, **options("FullyConnectedOptions"))
    content = serialize(Model(Graph(tensors, (op,), (0,), (3,))))
    assert runs(content)[WHEEL] is False
    with pytest.raises(RuntimeUnavailableError, match="int16, whose results it rounds by a step"):
        open_runtime("tflm", content)


def one(name: str, *scales: float, dtype: str = "int8", **more: Any) -> bytes:
    """A file of one operator; the last scale is of its output."""
    tensors = tuple(
        Tensor(f"t{i}", (1, 8), np.dtype(dtype), Q(scale, 0)) for i, scale in enumerate(scales)
    )
    inputs, output = tuple(range(len(scales) - 1)), len(scales) - 1
    return serialize(
        Model(Graph(tensors, (Operator(name, inputs, (output,), **more),), inputs, (output,)))
    )


def test_relu6_between_two_scales_is_not_tflms() -> None:
    """It clamps and does not rescale: every value would be another, without a word."""
    assert runs(one("RELU6", 0.05, 0.05))[WHEEL]
    content = one("RELU6", 0.05, 6 / 255)
    assert runs(content)[WHEEL] is runs(content)[DEVICE] is False
    with pytest.raises(RuntimeUnavailableError, match="RELU6 between two scales"):
        open_runtime("tflm", content)


def test_a_small_quotient_is_not_tflms() -> None:
    """Below a factor of 64 its DIV shifts a dividend of 0 by 32 bits, and gives 1."""
    divide = options("DivOptions")
    coarse, fine = (one("DIV", 0.1, 0.1, 1 / f, version=2, **divide) for f in (60.0, 70.0))
    assert runs(fine)[WHEEL]
    assert not runs(coarse)[WHEEL]


def test_so_many_int16_are_not_added_by_tflm() -> None:
    axes = np.array([1], np.int32)
    for count, there in ((1 << 15, True), (1 << 16, False)):
        tensors = (
            Tensor("x", (1, count), np.dtype(np.int16), Q(0.1, 0)),
            Tensor("axes", (1,), axes.dtype, None, axes),
            Tensor("y", (1,), np.dtype(np.int16), Q(0.1, 0)),
        )  # fmt: skip
        op = Operator("MEAN", (0, 1), (2,), version=2, **options("ReducerOptions"))
        assert runs(serialize(Model(Graph(tensors, (op,), (0,), (2,)))))[WHEEL] is there


def test_the_definition_has_no_state() -> None:
    tensors = tuple(
        Tensor(name, (1, 8), np.dtype(np.int8), Q(0.1, 0), is_variable=name == "s")
        for name in ("x", "s", "y")
    )  # fmt: skip
    op = Operator("ADD", (0, 1), (2,), **options("AddOptions"))
    content = serialize(Model(Graph(tensors, (op,), (0,), (2,))))
    with pytest.raises(RuntimeUnavailableError, match="got a state of ADD, expected none"):
        open_runtime("reference", content)
