# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.plan`` on models and on minimalloc's CSV."""

import json
import pathlib
import subprocess
import sys

import pytest

from converter.plan import minimalloc_csv, read_plan
from converter.plan.validate import violations
from keras_models.presets import PRESETS
from tests.commands import run_here
from tests.converter.plan.plan_problems import random_problem
from tests.converter.plan.vit_models import fused_model

ROOT = pathlib.Path(__file__).parents[3]


def run(*arguments):
    return run_here("converter.plan", *map(str, arguments))


def test_csv_in_and_solution_out(tmp_path):
    problem = random_problem(11, 40, with_overwrites=False)
    source, solution, figures = (tmp_path / n for n in ("in.csv", "out.csv", "f.json"))
    source.write_text(minimalloc_csv.writes(problem))
    words = [f"--problem={source}", f"--out={solution}", f"--json={figures}", "--time_limit_s=5"]
    command = [sys.executable, "-m", "converter.plan", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    solved = minimalloc_csv.reads(solution.read_text())
    assert violations(problem, [b.offset for b in solved.buffers]) == []
    found = json.loads(figures.read_text())
    assert found["arena_bytes"] == max(b.offset + b.size_bytes for b in solved.buffers)
    assert found["lower_bound_bytes"] <= found["arena_bytes"] <= found["greedy_bytes"]
    assert found["optimal"] == (found["gap"] == 0.0)


def test_model_in_and_planned_model_out(tmp_path):
    source, out = tmp_path / "in.tflite", tmp_path / "out.tflite"
    source.write_bytes(fused_model(PRESETS["test_tiny"]))
    done = run(f"--model={source}", f"--out={out}", "--streamed")
    assert done.returncode == 0, done.stderr
    plan = read_plan(out.read_bytes())
    assert plan.streamed
    assert f"{plan.arena_bytes:,} bytes, optimal" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected either --model=FILE or --problem=FILE"),
        (["--model=a", "--problem=b"], "expected either --model=FILE or --problem=FILE"),
        (["--problem=/nonexistent.csv"], "/nonexistent.csv: No such file"),
        ([f"--problem={ROOT}/pyproject.toml"], "csv header"),
        (["--problem={csv}", "--arena=10"], "the best placement found needs"),
        (["--model={model}", "--arena=500", "--out={out}"], "over budget"),
    ],
)
def test_bad_input_is_one_clear_line_and_writes_nothing(tmp_path, arguments, message):
    names = {"csv": tmp_path / "p.csv", "model": tmp_path / "m.tflite", "out": tmp_path / "o"}
    names["csv"].write_text("id,lower,upper,size\na,0,1,11\n")
    names["model"].write_bytes(fused_model(PRESETS["test_tiny"]))
    done = run(*(a.format(**names) for a in arguments))
    assert done.returncode != 0
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not names["out"].exists()
