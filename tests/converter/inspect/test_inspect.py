# SPDX-License-Identifier: Apache-2.0
"""The report's figures, its pictures, and the command's exit status."""

import dataclasses
import json
import pathlib
import re
import struct
import subprocess
import sys

import numpy as np
import pytest

from boards import get_board
from converter import footprint
from converter.compile import compile_model
from converter.contract import Contract, with_contract
from converter.inspect import placement
from converter.inspect.operators import operator_figures
from converter.inspect.report import Budgets, firmware_budgets, inspect_model, over_budget
from converter.inspect.tables import as_json, tables
from converter.plan import minimalloc_csv, plan_model
from converter.plan.report import BufferKind
from converter.tflite import parse, serialize
from converter.tflite.model import Signature
from keras_models.presets import PRESETS
from tests.commands import run_here
from tests.converter.inspect.pages import fused, plain_block, plain_block_and
from tests.converter.plan.vit_models import fused_model
from tests.converter.runtimes.edges import Edges

ROOT = pathlib.Path(__file__).parents[3]
NO_BUDGET = Budgets(None, None, 0, 0, 0)


@pytest.fixture(scope="module")
def benchmark():
    return plan_model(fused_model(PRESETS["vit_t_240"])).model_bytes


@pytest.fixture(scope="module")
def streamed():
    return inspect_model(fused_model(PRESETS["vit_t_240"], seed=1), streamed=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.tflite"
    path.write_bytes(plan_model(fused_model(PRESETS["test_tiny"])).model_bytes)
    return path


def run(*arguments):
    return run_here("converter.inspect", *map(str, arguments))


def test_report_of_the_benchmark_network(benchmark):
    found = inspect_model(benchmark)
    memory = found.memory
    assert not found.planned_here
    assert memory.arena_bytes == memory.lower_bound_bytes == memory.peak.live_bytes
    assert (memory.peak.op, memory.peak.name) == (0, "VitPatchEmbed")
    kinds = dict(memory.peak_by_kind)
    assert kinds[BufferKind.IMAGE] == 240 * 240 * 3
    assert sum(kinds.values()) == memory.arena_bytes
    assert max(o.live_bytes for o in memory.ops) == memory.arena_bytes


def test_flash_sections_add_up_to_the_file(benchmark):
    flash = inspect_model(benchmark).flash
    assert sum(size for _, size in flash.sections) == flash.file_bytes == len(benchmark)
    assert all(size > 0 for _, size in flash.sections)
    assert flash.sections[0][0] == "weights"


def test_keys_and_values_are_shown_apart_from_scratch(benchmark):
    memory = inspect_model(benchmark).memory
    kept = [r for r in memory.rectangles if r.kind is BufferKind.KEYS_VALUES]
    assert len(kept) == 12
    assert all(r.size_bytes >= 2 * 225 * 64 for r in kept)


def test_a_file_without_a_plan_is_planned_as_asked(streamed):
    resident = inspect_model(fused_model(PRESETS["vit_t_240"]))
    assert resident.planned_here
    assert streamed.memory.streamed
    assert streamed.memory.arena_bytes <= 140_000 < resident.memory.arena_bytes
    assert streamed.memory.peak.name == "VitAttention"


def test_over_budget_names_peak_and_what_helps(benchmark, streamed):
    found = inspect_model(benchmark)
    budgets = Budgets(150_000, None, 4096, 1024, 0)
    line = over_budget(found, budgets)
    assert "op 0 VitPatchEmbed" in line
    assert f"SRAM needs {found.memory.arena_bytes + 4096 + 1024:,} bytes" in line
    assert "streamed input" in line
    assert "\n" not in line
    line = over_budget(found, Budgets(90_000, None, 0, 0, 0))
    assert "a smaller network" in line
    budget = streamed.memory.arena_bytes - 1
    line = over_budget(streamed, Budgets(budget, None, 0, 0, 0))
    assert "smaller token tiles" in line
    assert over_budget(found, NO_BUDGET) is None
    line = over_budget(found, Budgets(None, 500_000, 0, 0, 0))
    assert "flash needs" in line
    assert "weights" in line


def test_all_heads_over_budget_suggests_per_head_keys_and_values():
    planned = plan_model(fused_model(PRESETS["vit_t_240"]), True, arena_budget=300_000)
    found = inspect_model(planned.model_bytes)
    line = over_budget(found, Budgets(140_000, None, 0, 0, 0))
    assert "per-head K/V" in line


def test_command_writes_every_format(tiny, tmp_path):
    files = {name: tmp_path / f"out.{name}" for name in ("json", "png", "csv")}
    words = [f"--model={tiny}", *(f"--{name}={path}" for name, path in files.items())]
    command = [sys.executable, "-m", "converter.inspect", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Peak: op" in done.stdout
    report = json.loads(files["json"].read_text())
    assert report["arena_bytes"] == report["lower_bound_bytes"]
    assert report["optimal"] is True
    assert len(report["ops"]) == 7
    assert sum(report["flash"]["sections"].values()) == tiny.stat().st_size
    picture = files["png"].read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">2I", picture[16:24])) > 300
    problem = minimalloc_csv.reads(files["csv"].read_text())
    assert max(b.offset + b.size_bytes for b in problem.buffers) == report["arena_bytes"]


def test_command_over_budget_fails_with_one_line_after_the_report(tiny):
    done = run(f"--model={tiny}", "--sram=2000", "--stack_bytes=500")
    assert done.returncode != 0
    assert "Peak: op" in done.stdout
    assert len(done.stderr.strip().splitlines()) == 1
    assert "over budget" in done.stderr
    told = done.stderr.partition("over budget")[2]
    assert not re.search(r"\d{4}", told), "a number without commas"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=/nonexistent.tflite"], "/nonexistent.tflite: No such file"),
        ([f"--model={ROOT}/pyproject.toml"], "not a .tflite file"),
        (["--model=x.tflite", "stray"], "unexpected argument 'stray'"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    done = run(*arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_contract_is_shown_and_class_names_take_flash(tiny):
    content = tiny.read_bytes()
    model = parse(content)
    names = tuple(f"class {n}" for n in range(model.graph.tensors[model.graph.outputs[0]].size))
    bare = inspect_model(content)
    stated = serialize(with_contract(model, Contract(class_names=names)))
    named = inspect_model(stated)
    assert named.constant_bytes - bare.constant_bytes == sum(len(n) + 1 + 4 for n in names)
    assert named.flash.constant_bytes == bare.flash.constant_bytes
    shown = dict(dict(tables(named, NO_BUDGET))["Images and classes"])
    assert shown["classes"].startswith(f"{len(names)}: class 0, class 1")
    assert shown["a byte becomes"] == "mean 127.5, std 127.5 (bytes become -1 to 1)"
    assert "Images and classes" not in dict(tables(bare, NO_BUDGET))


def test_inputs_and_outputs_are_listed_by_the_names_of_the_signature(tiny):
    model = parse(tiny.read_bytes())
    (x,), (y,) = model.graph.inputs, model.graph.outputs
    signature = Signature("serving", (("photo\n", x),), ())
    found = inspect_model(serialize(dataclasses.replace(model, signatures=(signature,))))
    first, last = model.graph.tensors[x], model.graph.tensors[y]
    _, *rows = dict(tables(found, NO_BUDGET))["Inputs and outputs"]
    shape = " x ".join(map(str, first.shape))
    assert rows[0] == [
        "input", "photo\\u000a", "int8", shape, f"{first.scale:.9g}", str(first.zero_point),
    ]  # fmt: skip
    assert rows[1][:3] == ["output", last.name, "int8"]
    assert [end["name"] for end in as_json(found, NO_BUDGET)["ends"]] == ["photo\n", last.name]


def test_buffers_on_a_board_and_an_estimate_only_where_the_model_fits(streamed):
    board = get_board("stm32f746g_disco")
    budgets = firmware_budgets(streamed, board)
    first, *rest = placement.placed_buffers(streamed, budgets.fit)
    assert first.name.startswith("scratch")
    assert first.fast_bytes == first.size_bytes  # the most used lies in DTCM
    assert rest[-1].access_bytes / rest[-1].size_bytes < first.access_bytes / first.size_bytes
    # Arena, stack and static data share the region, whose first 64 KB are tightly coupled.
    attention = next(b for b in rest if b.name == "scratch of op 1 VitAttention")
    assert attention.fast_bytes == 65536 - budgets.fit.data[0].parts[-1].offset
    headings = [heading for heading, _ in tables(streamed, budgets)]
    assert any("(estimate)" in heading and "Assumes:" in heading for heading in headings)
    data = as_json(streamed, budgets)
    told = data["latency_estimate"]
    assert told["compute_ms"] < told["low_ms"] <= told["high_ms"]
    assert [read["region"] for read in told["reads"]] == ["QSPI", "SRAM"]
    # 5.9 MB of constants on a board without a QSPI flash: buffers, but no time.
    small = firmware_budgets(streamed, get_board("nucleo_h743zi2"))
    assert small.fit.misfit() is not None
    assert not any("estimate" in heading for heading, _ in tables(streamed, small))
    assert "latency_estimate" not in as_json(streamed, small)


def test_static_data_of_an_input_that_is_no_image():
    """The firmware takes it in pieces of at most 1 KiB, whatever its shape."""
    graph = Edges()
    x = graph.x((1, 1500), np.int8, (0.05, 3))
    y = graph.op("ADD", (x, x), (1, 1500), np.int8, (0.1, 3), "AddOptions")
    model = plan_model(graph.content(y)).model_bytes
    (header,) = (f for f in compile_model(model).files if f.name == "vit_model.h")
    assert "#define VIT_MODEL_ROW_BYTES 750\n" in header.content.decode()
    found = firmware_budgets(inspect_model(model), get_board("stm32f746g_disco"))
    assert found.static_bytes == footprint.static_bytes(1, 750, False)


def test_operators_without_a_model_are_named_and_a_reshape_in_place_needs_none():
    def inspected(end):
        found = inspect_model(fused(plain_block_and(end)))
        return found, firmware_budgets(found, get_board("stm32f746g_disco")).fit

    found, fit = inspected(lambda g, x: g.reshape(x, 1, -1))
    *_, last = operator_figures(found, fit)
    assert (last.name, last.fused, last.instructions) == ("RESHAPE", False, 0)
    assert last.time.total_ms == 0
    assert placement.latency(found, fit) == placement.latency(
        inspect_model(fused(plain_block())), fit
    )
    apart = tuple(at + 16 * i for i, at in enumerate(found.offsets))
    assert placement.not_modelled(dataclasses.replace(found, offsets=apart)) == "1 RESHAPE"
    found, fit = inspected(lambda g, x: g.mean(x, 1))
    assert placement.not_modelled(found) == "1 MEAN"
    assert placement.latency(found, fit) is None
