# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.inspect --model=fused.tflite``: memory, flash and cost of a model.

A file with a plan is reported as it is; one without is scheduled and planned first (nothing is
written back). SRAM is arena, stack and static data. With ``--sram`` or ``--flash`` a model that
does not fit ends with one line that names the peak operator and what would make it fit, and a
non-zero exit status.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boards import BOARD_HELP, Board, get_board
from converter import footprint, schedule, tflite
from converter.board_fit import BoardFit, Surroundings, fit_board
from converter.compile.header import STREAM_STATE_BYTES, class_names_bytes
from converter.contract import Stated, stated_by
from converter.fused_ops import decoded_all
from converter.plan import draw, metadata, minimalloc_csv
from converter.plan.lifetimes import ModelProblem, model_problem, offsets_of
from converter.plan.model import plan_model
from converter.plan.problem import PlanError
from converter.plan.remedies import remedies
from converter.plan.report import BufferKind, FlashReport, MemoryReport, flash_report, memory_report
from converter.plan.validate import validate
from converter.support import text, verdicts
from tflm_vit import flags
from tflm_vit.files import expect_writable, naming, write_atomic, write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("inspect", __doc__)
_MODEL = flags.model(FLAGS, "Plain or fused .tflite.")
_STREAMED = flags.streamed(FLAGS)
_BOARD = flags.board(FLAGS, f"Whose regions the model has to fit. {BOARD_HELP}")
_SRAM = flags.sram(FLAGS)
_FLASH = flags.flash(FLAGS)
_STACK = FLAGS.integer(
    "stack_bytes", None, "Stack of your firmware; without it what this toolkit's firmware reserves."
)
_STATIC = FLAGS.integer(
    "static_bytes",
    None,
    "Static data of your firmware without the arena; without it that of this toolkit's firmware.",
)
_CODE = FLAGS.integer("code_bytes", 0, "Code of the firmware, and constants beside the model's.")
_JSON = flags.json(FLAGS)
_PNG = flags.png(FLAGS)
_HTML = FLAGS.string("html", "", "File for the report as a page.")
_CSV = FLAGS.string("csv", "", "File for the buffers in minimalloc's CSV format.")

Table = list[list[str]]
_NAMES_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Budgets:
    """What the command line says of the target; bytes, None where there is no limit.

    Attributes:
      fit: the model in the memories of a board, if one is named.
    """

    sram: int | None
    flash: int | None
    stack_bytes: int
    static_bytes: int
    code_bytes: int
    fit: BoardFit | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class ModelReport:
    """A model's report.

    Attributes:
      stated: buffers and schedules.
      planned_here: the file has no plan; this is the one that it would get.
      offsets: of ``stated.problem.buffers``.
      contract: what the file says of its input and output.
    """

    stated: ModelProblem
    memory: MemoryReport
    flash: FlashReport
    planned_here: bool
    offsets: tuple[int, ...]
    contract: Stated

    @property
    def constant_bytes(self) -> int:
        """What a firmware holds of the file: constants of the graph, and names of classes."""
        return self.flash.constant_bytes + class_names_bytes(self.contract.class_names)

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


def inspect_model(model_bytes: bytes, streamed: bool = False) -> ModelReport:
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
    return ModelReport(
        stated, memory, flash_report(stated, file_bytes), planned_here, offsets, stated_by(model)
    )


def firmware_budgets(
    found: ModelReport,
    board: Board | None = None,
    stack_bytes: int | None = None,
    static_bytes: int | None = None,
) -> Budgets:
    """What the firmware around a model takes, and whether that fits a board; no other limits.

    Args:
      stack_bytes, static_bytes: of a firmware; None for what this toolkit's reserves and declares.
    """
    graph = found.stated.graph
    row_bytes = math.prod(graph.tensors[graph.inputs[0]].shape[2:])
    streamed = found.memory.streamed
    stack, fit = footprint.STACK_RESERVED_BYTES, None
    static = footprint.static_bytes(len(graph.operators), row_bytes, streamed)
    if board is not None:
        stack = board.stack_bytes
        builtins = any(op is None for op in found.stated.ops)
        fit = fit_board(
            board,
            Surroundings(len(graph.operators), row_bytes, streamed, builtins),
            planned_bytes=found.memory.arena_bytes,
            constant_bytes=found.constant_bytes,
            stack_bytes=stack_bytes,
            static_bytes=static_bytes,
        )
    stack = stack if stack_bytes is None else stack_bytes
    return Budgets(None, None, stack, static if static_bytes is None else static_bytes, 0, fit)


def over_budget(found: ModelReport, budgets: Budgets) -> str | None:
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
    needed = found.constant_bytes + budgets.code_bytes
    if budgets.flash is not None and needed > budgets.flash:
        name, size = flash.sections[0]
        return (
            f"over budget: flash needs {needed} bytes (constants {found.constant_bytes}, code "
            f"{budgets.code_bytes}), the budget is {budgets.flash}; the largest section is "
            f"{name}, {size} bytes; what would make it fit: weights in external flash, or a "
            "smaller network"
        )
    return None if budgets.fit is None else _over_board(found, budgets.fit)


def _over_board(found: ModelReport, fit: BoardFit) -> str | None:
    """The line for a model that does not fit a board, or None."""
    misfit, peak = fit.misfit(), found.memory.peak
    if misfit is None:
        return None
    line = f"over budget on {fit.board.name}: {misfit}"
    if not any(filled.excess_bytes for filled in fit.data):
        return line
    room = fit.arena_room() - (STREAM_STATE_BYTES if found.memory.streamed else 0)
    return (
        f"{line}; peak: op {peak.op} {peak.name}, {peak.live_bytes} bytes; what would make it fit: "
        + "; or ".join(remedies(found.stated, max(0, room)))
    )


def tables(found: ModelReport, budgets: Budgets) -> list[tuple[str, Table]]:
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
    board = [] if budgets.fit is None else [(f"{budgets.fit.board.title}", budgets.fit.rows())]
    return [
        (f"SRAM: {mode} image, {source}, {proof}", sram),
        (f"Peak: op {memory.peak.op} {memory.peak.name}, {memory.peak.live_bytes:,} bytes", kinds),
        ("Flash", sections),
        *_contract_table(found.contract),
        *board,
        ("Operators", rows),
    ]


def _contract_table(stated: Stated) -> list[tuple[str, Table]]:
    """What the file says of images and classes; nothing where it says nothing."""
    names = ", ".join(stated.class_names[:_NAMES_SHOWN])
    more = ", ..." if len(stated.class_names) > _NAMES_SHOWN else ""
    rows = [
        ["a byte becomes", "" if stated.normalization is None else str(stated.normalization)],
        ["order of colors", stated.color_order or ""],
        ["classes", f"{len(stated.class_names)}: {names}{more}" if names else ""],
        ["trained on", "" if stated.trained_on is None else str(stated.trained_on)],
    ]
    said = [row for row in rows if row[1]]
    return [("Input and output", [["the file", "says"], *said])] if said else []


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


def as_json(found: ModelReport, budgets: Budgets) -> dict[str, Any]:
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
        "contract": dataclasses.asdict(found.contract),
        "kinds": [k.value for k in BufferKind],
        **({"board": budgets.fit.as_dict()} if budgets.fit else {}),
    }


def _write_files(found: ModelReport, budgets: Budgets, title: str) -> None:
    if _JSON.value:
        write_json(_JSON.value, as_json(found, budgets))
    if _PNG.value:
        write_atomic(_PNG.value, draw.png(found.memory, title))
    if _HTML.value:
        page = draw.html_page(found.memory, title, tables(found, budgets))
        write_atomic(_HTML.value, page.encode())
    if _CSV.value:
        write_atomic(
            _CSV.value, minimalloc_csv.writes(found.stated.problem, found.offsets).encode()
        )


def _budgets(found: ModelReport) -> Budgets:
    """What the flags say."""
    board = get_board(_BOARD.value) if _BOARD.value else None
    budgets = firmware_budgets(found, board, _STACK.value, _STATIC.value)
    return dataclasses.replace(
        budgets, sram=_SRAM.value, flash=_FLASH.value, code_bytes=_CODE.value
    )


def _run() -> None:
    """Reports; raises when the model is over a budget."""
    expect_writable(_JSON.value, _PNG.value, _HTML.value, _CSV.value)
    path = Path(_MODEL.value)
    found = inspect_model(path.read_bytes(), _STREAMED.value)
    budgets = _budgets(found)
    for heading, rows in tables(found, budgets):
        print(f"{heading}\n\n{text_table(rows)}\n")
    print(text(verdicts(tflite.parse(path.read_bytes()).graph)))
    arena = f"{found.memory.arena_bytes:,} bytes of arena"
    _write_files(found, budgets, f"{path.name}: {arena}")
    failure = over_budget(found, budgets)
    if failure:
        raise PlanError(failure)


def _named() -> None:
    with naming(_MODEL.value):
        _run()


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _named, argv)


if __name__ == "__main__":
    main()
