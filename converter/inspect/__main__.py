# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.inspect --model=fused.tflite``: memory, flash and cost of a model.

A file with a plan is reported as it is; one without is scheduled and planned first (nothing is
written back). SRAM is arena, stack and static data. With ``--sram`` or ``--flash`` a model that
does not fit ends with one line that names the peak operator and what would make it fit, and a
non-zero exit status.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from boards import BOARD_HELP, get_board
from converter import tflite
from converter.inspect.placement import over_latency
from converter.inspect.report import (
    Budgets,
    ModelReport,
    firmware_budgets,
    inspect_model,
    over_budget,
)
from converter.inspect.sources import Sources, sources
from converter.inspect.tables import as_json, tables, text_table
from converter.page import expect_charts
from converter.plan import draw, minimalloc_csv
from converter.plan.problem import PlanError
from converter.support import text, verdicts
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_atomic, write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("inspect", __doc__)
_MODEL = flags.model(FLAGS, "Plain or fused .tflite.")
_STREAMED = flags.streamed(FLAGS)
_BOARD = flags.board(FLAGS, f"Whose regions the model has to fit. {BOARD_HELP}")
_SRAM = flags.sram(FLAGS)
_FLASH = flags.flash(FLAGS)
_LATENCY = flags.latency_ms(FLAGS)
_STACK = FLAGS.integer(
    "stack_bytes", None, "Stack of your firmware; without it what this toolkit's firmware reserves."
)
_STATIC = FLAGS.integer(
    "static_bytes",
    None,
    "Static data of your firmware without the arena; without it that of this toolkit's firmware.",
)
_CODE = flags.code_bytes(FLAGS)
_PLAIN = flags.plain_model(
    FLAGS, "Plain .tflite that --model was fused from: the report says what became of it."
)
_STUDY = FLAGS.string("sensitivity", "", "What converter.sensitivity --json measured, to show it.")
_JSON = flags.json(FLAGS)
_PNG = flags.png(FLAGS)
_HTML = flags.html(FLAGS)
_CSV = FLAGS.string("csv", "", "File for the buffers in minimalloc's CSV format.")


def _write_files(
    found: ModelReport, budgets: Budgets, made_of: Sources, refusal: str | None
) -> None:
    if _JSON.value:
        write_json(_JSON.value, as_json(found, budgets) | made_of.as_dict())
    if _PNG.value:
        title = f"{made_of.name}: {found.memory.arena_bytes:,} bytes of arena"
        write_atomic(_PNG.value, draw.png(found.memory, title))
    if _HTML.value:
        from converter.inspect.page import Inspected, network_page  # the charts' library

        page = network_page(Inspected(found, budgets, made_of, refusal))
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
        budgets, sram=_SRAM.value, flash=_FLASH.value, code_bytes=_CODE.value,
        latency_ms=_LATENCY.value,
    )  # fmt: skip


def _run() -> None:
    """Reports; raises when the model is over a budget."""
    if _HTML.value:
        expect_charts("--html")
    expect_writable(_JSON.value, _PNG.value, _HTML.value, _CSV.value)
    path = Path(_MODEL.value)
    content = tflite.read_model(path)
    found = inspect_model(content, _STREAMED.value)
    budgets, graph = _budgets(found), found.stated.graph
    made_of = sources(path.name, content, graph, _PLAIN.value, _STUDY.value)
    for heading, rows in tables(found, budgets):
        print(f"{heading}\n\n{text_table(rows)}\n")
    print(text(verdicts(graph)))
    refusal = over_budget(found, budgets) or over_latency(found, budgets)
    _write_files(found, budgets, made_of, refusal)
    if refusal:
        raise PlanError(refusal)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _run, argv, about=_MODEL)


if __name__ == "__main__":
    main()
