# SPDX-License-Identifier: Apache-2.0
"""The Python interface: bytes in, frozen results out, and the same lines as the commands."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tflm_vit
from converter.fuse import fuse_model
from converter.plan import plan_model, read_plan
from converter.runtimes import open_runtime
from tests.converter.compile import fused_models
from tests.converter.fuse import blocks
from tests.converter.fuse.plain_graph import PlainGraph

BOARDS = Path(__file__).parents[2] / "boards"


@pytest.fixture(scope="module")
def unplanned() -> bytes:
    return fused_models.model_bytes(fused_models.vit_ops())


@pytest.fixture(scope="module")
def planned(unplanned: bytes) -> tflm_vit.Planned:
    return tflm_vit.plan(unplanned)


@pytest.fixture(scope="module")
def plain() -> bytes:
    spelling = blocks.AttentionSpelling(tokens=7, heads=2, head_dim=4, embed_dim=6)
    graph = PlainGraph(np.random.default_rng(3))
    x = blocks.token_input(graph, spelling.tokens, spelling.embed_dim)
    return graph.finish(blocks.attention(graph, x, spelling))


def test_fuse_plans_and_keeps_the_result(plain: bytes) -> None:
    found = tflm_vit.fuse(plain)
    assert found.model_bytes == plan_model(fuse_model(plain).model_bytes).model_bytes
    assert (found.operators, len(found.fused), found.not_fused) == (1, 1, ())
    assert found.operators_before > 5
    assert found.arena_bytes >= found.lower_bound_bytes > 0
    runtime = open_runtime("host", found.model_bytes)
    (x,) = [np.zeros(i.shape, i.dtype) for i in runtime.inputs]
    (expected,) = open_runtime("reference", found.model_bytes).run(x)
    np.testing.assert_array_equal(runtime.run(x)[0], expected)


def test_fuse_rounds_weights_to_four_bits(plain: bytes) -> None:
    whole, small = tflm_vit.fuse(plain), tflm_vit.fuse(plain, weight_bits=4)
    assert whole.layers_of_4_bits == ()
    assert whole.weights_sqnr_db is None
    assert len(small.layers_of_4_bits) >= 2
    assert small.weights_sqnr_db is not None
    assert len(small.model_bytes) < len(whole.model_bytes)
    constants = tflm_vit.inspect(whole.model_bytes).constant_bytes
    x = np.random.default_rng(0).integers(-128, 128, (8, 1, 7, 6)).astype(np.int8)
    some = tflm_vit.fuse(plain, constant_bytes=constants - 16, inputs=list(x))
    assert 0 < len(some.layers_of_4_bits) < len(small.layers_of_4_bits)
    assert tflm_vit.inspect(some.model_bytes).constant_bytes <= constants - 16


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"weight_bits": 2}, "weight_bits: got 2, expected 4 or 8"),
        ({"weight_bits": 4, "constant_bytes": 10}, "expected one of the two"),
        ({"constant_bytes": 10}, "--flash: got room for 10 B of constants, expected"),
    ],
)
def test_bits_that_cannot_be_are_refused(plain: bytes, asked: dict[str, int], message: str) -> None:
    with pytest.raises(tflm_vit.Error, match=message):
        tflm_vit.fuse(plain, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("weight_bits", [4, 8])
def test_inputs_that_the_network_does_not_take_are_refused(plain: bytes, weight_bits: int) -> None:
    with pytest.raises(tflm_vit.Error, match=r"probes: got float32 \[1, 7, 6\]"):
        tflm_vit.fuse(plain, weight_bits=weight_bits, inputs=[np.zeros((1, 7, 6), np.float32)])


def test_plan_is_the_commands_plan(unplanned: bytes, planned: tflm_vit.Planned) -> None:
    assert planned.model_bytes == plan_model(unplanned).model_bytes
    assert planned.arena_bytes == read_plan(planned.model_bytes).arena_bytes
    assert planned.optimal
    assert not planned.streamed
    assert tflm_vit.plan(unplanned, streamed=True).streamed


def test_inspect_counts_everything(unplanned: bytes, planned: tflm_vit.Planned) -> None:
    found = tflm_vit.inspect(planned.model_bytes)
    assert found.sram_bytes == found.arena_bytes + found.stack_bytes + found.static_bytes
    assert found.arena_bytes == planned.arena_bytes
    assert not found.planned_here
    assert found.file_bytes == len(planned.model_bytes)
    assert max(op.live_bytes for op in found.operators) == found.operators[found.peak].live_bytes
    assert tflm_vit.inspect(unplanned).planned_here


def test_inspect_names_what_a_board_does_not_hold(unplanned: bytes, tmp_path: Path) -> None:
    small = json.loads((BOARDS / "openmv_cam_m4.json").read_text())
    for region in small["regions"]:
        if region["name"] == "SRAM":
            region["length"] = 4096
    small["place"] = {"code": "FLASH", "arena": "SRAM", "data": "SRAM", "stack": "SRAM"}
    path = tmp_path / "small.json"
    path.write_text(json.dumps(small))
    line = tflm_vit.inspect(unplanned, board=str(path)).over_budget
    assert "region SRAM: stack 4,096 + data " in line
    assert "of 4,096" in line
    assert "\n" not in line


def test_compile_gives_the_files(planned: tflm_vit.Planned, tmp_path: Path) -> None:
    found = tflm_vit.compile(planned.model_bytes)
    assert found.arena_bytes == planned.arena_bytes
    found.write(tmp_path / "new")
    written = {p.name: p.read_bytes() for p in (tmp_path / "new").iterdir()}
    assert written == {file.name: file.content for file in found.files}
    assert b"extflash" not in written["vit_model_weights.S"]
    external = tflm_vit.compile(planned.model_bytes, weights_in="external")
    assert any(b"extflash" in file.content for file in external.files)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no cross compiler")
def test_export_writes_a_project_that_fits(planned: tflm_vit.Planned, tmp_path: Path) -> None:
    found = tflm_vit.export(planned.model_bytes, tmp_path / "fw", board="nucleo_h743zi2")
    assert (found.folder / "CMakeLists.txt").is_file()
    assert found.flash_bytes is not None
    assert found.sram_bytes is not None
    inspected = tflm_vit.inspect(planned.model_bytes, board="nucleo_h743zi2")
    assert inspected.over_budget == ""
    assert inspected.constant_bytes < found.flash_bytes
    assert inspected.sram_bytes == found.sram_bytes
    with pytest.raises(tflm_vit.Error, match="exists"):
        tflm_vit.export(planned.model_bytes, tmp_path / "fw", check=False)


def test_export_without_a_compiler_says_no_sizes(planned: tflm_vit.Planned, tmp_path: Path) -> None:
    found = tflm_vit.export(planned.model_bytes, tmp_path / "fw", check=False)
    assert (found.flash_bytes, found.sram_bytes) == (None, None)
    assert (tmp_path / "fw" / "CMakeLists.txt").is_file()


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no cross compiler")
def test_export_of_a_library_says_its_sizes(planned: tflm_vit.Planned, tmp_path: Path) -> None:
    found = tflm_vit.export(planned.model_bytes, tmp_path / "l", format="library", name="net")
    header = (tmp_path / "l" / "include" / "net.h").read_text()
    stack = int(header.split("#define NET_STACK_BYTES ")[1].split("u")[0])
    assert found.sram_bytes == planned.arena_bytes + stack
    weights = int(header.split("#define NET_WEIGHTS_BYTES ")[1].split("u")[0])
    assert found.flash_bytes is not None
    assert found.flash_bytes > weights
    with pytest.raises(tflm_vit.Error, match="has the compiled runtime only"):
        tflm_vit.export(planned.model_bytes, tmp_path / "m", format="arduino", runtime="tflm")


@pytest.mark.parametrize(
    "function",
    [tflm_vit.fuse, tflm_vit.plan, tflm_vit.inspect, tflm_vit.compile],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize(
    "content", [b"", b"hello, I am no model", b"\x1c\0\0\0TFL3" + b"\xff" * 64]
)
def test_what_is_no_model_is_one_line(function: object, content: bytes) -> None:
    with pytest.raises(tflm_vit.Error) as found:
        function(content)  # type: ignore[operator]
    assert "\n" not in str(found.value)


def test_refusals_say_what_to_do(
    unplanned: bytes, planned: tflm_vit.Planned, tmp_path: Path
) -> None:
    with pytest.raises(tflm_vit.Error, match="fused already"):
        tflm_vit.fuse(unplanned)
    with pytest.raises(tflm_vit.Error, match="over budget"):
        tflm_vit.plan(unplanned, arena_bytes=100)
    with pytest.raises(tflm_vit.Error, match=r"converter\.fuse|converter\.plan"):
        tflm_vit.compile(unplanned)
    with pytest.raises(tflm_vit.Error, match="weights_in: got 'qspi'"):
        tflm_vit.compile(planned.model_bytes, weights_in="qspi")
    with pytest.raises(tflm_vit.Error, match="unknown board"):
        tflm_vit.export(planned.model_bytes, tmp_path / "fw", board="nothing")
    with pytest.raises(OSError, match="No such file"):
        tflm_vit.export(planned.model_bytes, tmp_path / "fw", board="nothing.json")


def test_results_are_frozen(planned: tflm_vit.Planned) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        planned.arena_bytes = 0  # type: ignore[misc]
