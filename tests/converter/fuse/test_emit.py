# SPDX-License-Identifier: Apache-2.0
"""The written file: aligned, without dead parts, the same every time; and the command."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.runtimes.reference import GraphInterpreter
from converter.tflite import Metadata, TfliteError, parse, serialize
from converter.tflite.model import Signature
from converter.tflite.writer import misaligned_buffers
from tests.commands import run_here
from tests.converter.fuse.blocks import AttentionSpelling, attention, mlp, token_input
from tests.converter.fuse.plain_graph import PlainGraph
from tflm_custom_ops.ops import Attention, Mlp, decode

SPELLING = AttentionSpelling(tokens=7)


@pytest.fixture(scope="module")
def plain() -> bytes:
    g = PlainGraph(np.random.default_rng(2))
    x = token_input(g, SPELLING.tokens, SPELLING.embed_dim)
    y = g.mean(g.layer_norm(mlp(g, attention(g, x, SPELLING))), 1, keep=False)
    model = parse(g.finish(y))
    return serialize(
        dataclasses.replace(
            model,
            metadata=(Metadata("note", b"kept"), Metadata("OfflineMemoryAllocation", bytes(16))),
            signatures=(Signature("serving", (("image", x),), (("logits", y),)),),
        )
    )


def test_file_is_aligned_and_deterministic(plain: bytes) -> None:
    first = fuse_model(plain).model_bytes
    assert misaligned_buffers(first) == []
    assert fuse_model(plain).model_bytes == first


def test_nothing_dead_is_left(plain: bytes) -> None:
    model = parse(fuse_model(plain).model_bytes)
    graph = model.graph
    used = {i for op in graph.operators for i in (*op.inputs, *op.outputs)}
    assert used | set(graph.inputs) == set(range(len(graph.tensors)))
    assert {op.custom_code for op in graph.operators} <= {
        "VitAttention",
        "VitMlp",
        "VitLayerNorm",
        "",
    }


def test_signature_and_metadata_are_kept_but_not_the_old_plan(plain: bytes) -> None:
    model = parse(fuse_model(plain).model_bytes)
    assert model.description == "made by hand"
    assert [m.name for m in model.metadata] == ["note"]
    signature = model.signatures[0]
    assert signature.inputs == (("image", model.graph.inputs[0]),)
    assert signature.outputs == (("logits", model.graph.outputs[0]),)


def test_blob_is_one_constant_per_operator(plain: bytes) -> None:
    graph = parse(fuse_model(plain).model_bytes).graph
    for op in graph.operators[:2]:
        blob = graph.tensors[op.inputs[1]]
        assert len(op.inputs) == 2
        assert blob.dtype == np.uint8
        assert blob.nbytes % 16 == 0
        fused = decode(op.custom_options, blob.data.tobytes())
        assert isinstance(fused, Attention | Mlp)
        assert fused.tokens == SPELLING.tokens
        assert 1 <= fused.token_tile <= SPELLING.tokens


def test_int16_needs_fused_neighbours(plain: bytes) -> None:
    """The first block's input is the graph's int8 input: the stream stays int8, and says so."""
    result = fuse_model(plain, residual_bits=16)
    assert result.report.residual_bits == 16
    assert len(result.report.notes) == 1
    assert "input or output of the network" in result.report.notes[0]
    assert all(op.residual_bits == 8 for op in result.report.fused)


def test_report(plain: bytes) -> None:
    report = fuse_model(plain).report
    tree = json.loads(report.to_json())
    assert tree["ops_before"] == len(parse(plain).graph.operators)
    assert (
        sum(op["replaced_ops"] for op in tree["fused"]) + len(tree["leftovers"])
        == (tree["ops_before"])
    )
    assert f"operators: {report.ops_before} -> {report.ops_after}" in report.table()


def test_interpreter_checks_its_input(plain: bytes) -> None:
    interpreter = GraphInterpreter(fuse_model(plain).model_bytes)
    with pytest.raises(ValueError, match="got float64"):
        interpreter.run(np.zeros((1, 7, 6)))
    model = parse(plain)
    foreign = dataclasses.replace(model.graph.operators[0], opcode="CUSTOM", custom_code="Other")
    graph = dataclasses.replace(model.graph, operators=(foreign, *model.graph.operators[1:]))
    with pytest.raises(TfliteError, match="'Other', not ours"):
        GraphInterpreter(serialize(dataclasses.replace(model, graph=graph)))


def fuse_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "converter.fuse", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command(plain: bytes, tmp_path: Path) -> None:
    source, target = tmp_path / "plain.tflite", tmp_path / "out" / "fused.tflite"
    source.write_bytes(plain)
    report = tmp_path / "report.json"
    done = fuse_command(f"--model={source}", f"--out={target}", f"--json={report}")
    assert done.returncode == 0, done.stderr
    assert "VitAttention" in done.stdout
    tree = json.loads(report.read_text())
    assert tree["model_bytes"] == target.stat().st_size
    assert tree["arena_bytes"] >= tree["lower_bound_bytes"] > 0
    names = [m.name for m in parse(target.read_bytes()).metadata]
    assert "OfflineMemoryAllocation" in names


def test_command_on_a_bad_file(tmp_path: Path) -> None:
    source, target = tmp_path / "bad.tflite", tmp_path / "fused.tflite"
    source.write_bytes(b"not a network")
    done = run_here("converter.fuse", f"--model={source}", f"--out={target}")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"fuse: {source}: got file identifier b'a ne', expected b'TFL3': not a .tflite file, or "
        "one written without its identifier"
    ]
    assert not target.exists()
