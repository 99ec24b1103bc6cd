# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.inspect --model=fused.tflite``: memory, flash and cost of a model.

A file with a plan is reported as it is; one without is scheduled and planned first (nothing is
written back). With ``--sram_budget`` or ``--flash_budget`` a model that does not fit ends with one
line that names the peak operator and what would make it fit, and a non-zero exit status.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from absl import app, flags

from converter import footprint, schedule, tflite
from converter.compile.header import STREAM_STATE_BYTES
from converter.fused_ops import decoded_all
from converter.plan import draw, metadata, minimalloc_csv
from converter.plan.lifetimes import ModelProblem, model_problem, offsets_of
from converter.plan.model import plan_model
from converter.plan.problem import PlanError
from converter.plan.remedies import remedies
from converter.plan.report import FlashReport, Kind, MemoryReport, flash_report, memory_report
from converter.plan.validate import validate
from tflm_vit.files import expect_writable, write_atomic, write_json
from tflm_vit.run import run

FLAGS = flags.FLAGS

Table = list[list[str]]


@dataclasses.dataclass(frozen=True)
class Budgets:
    """What the command line says of the target; bytes, None where there is no limit."""

    sram: int | None
    flash: int | None
    stack_bytes: int
    static_bytes: int
    code_bytes: int


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
    """A model's report.

    Attributes:
      stated: buffers and schedules.
      planned_here: the file has no plan; this is the one that it would get.
      offsets: of ``stated.problem.buffers``.
    """

    stated: ModelProblem
    memory: MemoryReport
    flash: FlashReport
    planned_here: bool
    offsets: tuple[int, ...]

    def sram_parts(self, budgets: Budgets) -> tuple[tuple[str, int], ...]:
        """What SRAM holds: (name, bytes); parts of no bytes are left out, the arena is first."""
        state = STREAM_STATE_BYTES if self.memory.streamed else 0
        parts = (
            ("arena", self.memory.arena_bytes),
            ("streaming state", state),
            ("stack", budgets.stack_bytes),
            ("static data", budgets.static_bytes),
        )
        return tuple((name, size) for name, size in parts if size)


def inspect_model(model_bytes: bytes, streamed: bool = False) -> Inspection:
    """Reports on a model.

    Args:
      streamed: how to plan a file without a plan.

    Raises:
      TfliteError, OptionsError, PlanError: the file, an operator or the plan is malformed.
    """
    model = tflite.parse(model_bytes)
    planned_here = not any(m.name == metadata.PLAN_NAME for m in model.metadata)
    if planned_here:
        planned = plan_model(model_bytes, streamed)
        stated, plan, file_bytes = planned.model_problem, planned.plan, len(planned.model_bytes)
    else:
        plan, file_bytes = metadata.plan_of(model), len(model_bytes)
        ops = decoded_all(model.graph)
        stated = model_problem(model.graph, ops, plan.streamed)
    offsets = offsets_of(stated, plan)
    validate(stated.problem, offsets)  # never report, or draw, an unsafe plan as if it were one
    memory = memory_report(stated, plan)
    return Inspection(stated, memory, flash_report(stated, file_bytes), planned_here, offsets)


def over_budget(found: Inspection, budgets: Budgets) -> str | None:
    """The line for a model that does not fit, or None."""
    memory, flash = found.memory, found.flash
    parts = found.sram_parts(budgets)
    total = sum(size for _, size in parts)
    if budgets.sram is not None and total > budgets.sram:
        peak = memory.peak
        left = budgets.sram - (total - memory.arena_bytes)
        listed = ", ".join(f"{name} {size}" for name, size in parts)
        return (
            f"over budget: SRAM needs {total} bytes ({listed}), the budget is {budgets.sram}; "
            f"peak: op {peak.op} {peak.name}, {peak.live_bytes} bytes; what would make it fit: "
            + "; or ".join(remedies(found.stated, left))
        )
    needed = flash.constant_bytes + budgets.code_bytes
    if budgets.flash is not None and needed > budgets.flash:
        name, size = flash.sections[0]
        return (
            f"over budget: flash needs {needed} bytes (constants {flash.constant_bytes}, code "
            f"{budgets.code_bytes}), the budget is {budgets.flash}; the largest section is "
            f"{name}, {size} bytes; what would make it fit: weights in external flash, or a "
            "smaller network"
        )
    return None


def tables(found: Inspection, budgets: Budgets) -> list[tuple[str, Table]]:
    """Headings and rows (first the header) of the report."""
    memory, flash = found.memory, found.flash
    gap = memory.arena_bytes - memory.lower_bound_bytes
    proof = "optimal (equals the proven lower bound)" if gap == 0 else f"{gap:,} above the bound"
    parts = found.sram_parts(budgets)
    sram = [["SRAM", "bytes"], *([name, f"{size:,}"] for name, size in parts)]
    sram.append(["total", f"{sum(size for _, size in parts):,}"])
    kinds = [["at the peak", "bytes"], *([k.value, f"{n:,}"] for k, n in memory.peak_by_kind)]
    sections = [["flash", "bytes"], *([n, f"{s:,}"] for n, s in flash.sections)]
    sections.append(["file", f"{flash.file_bytes:,}"])
    rows = [["op", "name", "live bytes", "scratch", "MACs", "weight bytes read", "schedule"]]
    for m, fused in zip(memory.ops, found.stated.ops, strict=True):
        traffic = 0 if fused is None else schedule.cost(fused).weight_bytes
        numbers = (m.live_bytes, m.scratch_bytes, schedule.macs(fused), traffic)
        cells = [f"{n:,}" for n in numbers]
        rows.append([str(m.op), m.name, *cells, schedule.describe(fused)])
    mode = "streamed" if memory.streamed else "resident"
    source = "planned now; the file has no plan" if found.planned_here else "the file's plan"
    return [
        (f"SRAM: {mode} image, {source}, {proof}", sram),
        (f"Peak: op {memory.peak.op} {memory.peak.name}, {memory.peak.live_bytes:,} bytes", kinds),
        ("Flash", sections),
        ("Operators", rows),
    ]


def text_table(rows: Table) -> str:
    """Columns aligned; numbers to the right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    numeric = [all(_is_number(row[c]) for row in rows[1:]) for c in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(w) if number else cell.ljust(w)
            for cell, w, number in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdigit()


def as_json(found: Inspection, budgets: Budgets) -> dict[str, Any]:
    """The report as plain data; bytes everywhere."""
    memory, flash = found.memory, found.flash
    return {
        "arena_bytes": memory.arena_bytes,
        "lower_bound_bytes": memory.lower_bound_bytes,
        "optimal": memory.arena_bytes == memory.lower_bound_bytes,
        "streamed": memory.streamed,
        "planned_here": found.planned_here,
        "sram_bytes": {
            **dict(found.sram_parts(budgets)),
            "total": sum(size for _, size in found.sram_parts(budgets)),
        },
        "peak": {
            "op": memory.peak.op,
            "name": memory.peak.name,
            "live_bytes": memory.peak.live_bytes,
            "by_kind": {k.value: n for k, n in memory.peak_by_kind},
        },
        "flash": {
            "file_bytes": flash.file_bytes,
            "constant_bytes": flash.constant_bytes,
            "code_bytes": budgets.code_bytes,
            "sections": dict(flash.sections),
        },
        "ops": [
            {
                "op": m.op,
                "name": m.name,
                "live_bytes": m.live_bytes,
                "scratch_bytes": m.scratch_bytes,
                "macs": schedule.macs(fused),
                "weight_bytes_read": 0 if fused is None else schedule.cost(fused).weight_bytes,
                "schedule": schedule.describe(fused),
            }
            for m, fused in zip(memory.ops, found.stated.ops, strict=True)
        ],
        "buffers": [
            {
                "name": r.name,
                "kind": r.kind.value,
                "lower": r.lower,
                "upper": r.upper,
                "offset": r.offset,
                "size_bytes": r.size_bytes,
            }
            for r in memory.rectangles
        ],
        "kinds": [k.value for k in Kind],
    }


def _write_files(found: Inspection, budgets: Budgets, title: str) -> None:
    if FLAGS.json:
        write_json(FLAGS.json, as_json(found, budgets))
    if FLAGS.png:
        write_atomic(FLAGS.png, draw.png(found.memory, title))
    if FLAGS.html:
        page = draw.html_page(found.memory, title, tables(found, budgets))
        write_atomic(FLAGS.html, page.encode())
    if FLAGS.csv:
        write_atomic(FLAGS.csv, minimalloc_csv.writes(found.stated.problem, found.offsets).encode())


def _budgets(found: Inspection) -> Budgets:
    """The flags; with --firmware, what its linker script reserves and its sources declare."""
    stack, static = FLAGS.stack_bytes, FLAGS.static_bytes
    if FLAGS.firmware:
        graph = found.stated.graph
        row_bytes = math.prod(graph.tensors[graph.inputs[0]].shape[2:])
        stack = stack or footprint.STACK_RESERVED_BYTES
        static = static or footprint.static_bytes(
            len(graph.operators), row_bytes, found.memory.streamed
        )
    return Budgets(FLAGS.sram_budget, FLAGS.flash_budget, stack, static, FLAGS.code_bytes)


def _run() -> None:
    """Reports; raises when the model is over a budget."""
    expect_writable(FLAGS.json, FLAGS.png, FLAGS.html, FLAGS.csv)
    path = Path(FLAGS.model)
    found = inspect_model(path.read_bytes(), FLAGS.streamed)
    budgets = _budgets(found)
    for heading, rows in tables(found, budgets):
        print(f"{heading}\n\n{text_table(rows)}\n")
    arena = f"{found.memory.arena_bytes:,} bytes of arena"
    _write_files(found, budgets, f"{path.name}: {arena}")
    failure = over_budget(found, budgets)
    if failure:
        raise PlanError(failure)


def _named() -> None:
    """`_run`, whose errors about the model name its file."""
    try:
        _run()
    except ValueError as error:
        raise PlanError(f"{FLAGS.model}: {error}") from error


def main(argv: list[str]) -> None:
    run("inspect", argv, _named)


def _define_flags() -> None:
    flags.DEFINE_string("model", None, "Plain or fused .tflite.", required=True)
    flags.DEFINE_bool("streamed", False, "If the file has no plan: plan it with streamed input.")
    flags.DEFINE_integer(
        "sram_budget", None, "SRAM in bytes for arena, stack and static data.", lower_bound=1
    )
    flags.DEFINE_integer(
        "flash_budget", None, "Flash in bytes for constants and code.", lower_bound=1
    )
    flags.DEFINE_integer(
        "stack_bytes",
        0,
        "Stack of the firmware (python -m firmware.emulate measures it).",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "static_bytes", 0, "data and bss of the firmware, without arena.", lower_bound=0
    )
    flags.DEFINE_bool(
        "firmware", False, "Count the stack and static data of this toolkit's firmware too."
    )
    flags.DEFINE_integer(
        "code_bytes", 0, "Code and other constants of the firmware.", lower_bound=0
    )
    flags.DEFINE_string("json", "", "File for the report.")
    flags.DEFINE_string("png", "", "File for the memory map as a picture.")
    flags.DEFINE_string("html", "", "File for the report as a page.")
    flags.DEFINE_string("csv", "", "File for the buffers in minimalloc's CSV format.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
