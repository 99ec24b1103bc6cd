# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of SECURITY.md from the recorded campaigns in docs/results.

python -m benchmarks.fault_tables          # rewrites the parts between the markers
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.marked_sections import filled
from benchmarks.mutations.faults import FAULTS, ROOMS
from tflm_vit import flags
from tflm_vit.files import write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("fault_tables", __doc__)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "SECURITY.md"
RESULTS = ROOT / "docs" / "results"
_ENDS = ("crash", "traceback", "hangs")


def _load(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return data


def _row(*cells: object) -> str:
    texts = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells)
    return "| " + " | ".join(texts) + " |"


def commands() -> str:
    """What became of mutants in each command."""
    record = _load("fuzz_commands.json")
    lines = [
        "| command | inputs | refused | accepted | of them compared | wrong | crashes | "
        "tracebacks | over 30 s | over 2 GB | slowest, s |",
        "|---|" + "---:|" * 10,
    ]
    for name, c in record["commands"].items():
        crash, trace, hang = (c["verdicts"].get(end, 0) for end in _ENDS)
        lines.append(_row(
            f"`{name}`", c["inputs"], c["verdicts"].get("refused", 0),
            c["verdicts"].get("accepted", 0), c["compared"],
            c["faults"] - crash - trace - hang, crash, trace, c["over_30_s"] + hang,
            c["over_2_gb"], f"{c['slowest_s']:.1f}",
        ))  # fmt: skip
    return "\n".join([*lines, "", record["note"]])


def reader() -> str:
    """Structural mutants against LiteRT."""
    r = _load("fuzz_reader.json")
    refused = r["litert"].get("refuses", 0) + r["litert"].get("crashes", 0)
    purpose = sum(r["taken_on_purpose"].values())
    return (
        f"{r['mutants']:,} mutants of {r['corpus']:,} pieces: LiteRT refuses or crashes on "
        f"{refused:,}, of which the reader takes {r['litert_refuses_reader_takes']} (and "
        f"{purpose} on purpose: {', '.join(r['taken_on_purpose'])}); it refuses "
        f"{r['litert_runs_reader_refuses']:,} more, on which TFLM would abort or whose arithmetic "
        f"overflows. {r['tracebacks']} tracebacks, at most {r['slowest_ms']:.0f} ms a file."
    )


def mutations() -> str:
    """Planted faults."""
    r = _load("mutations.json")
    lines = ["| faults of | planted | noticed | CPU s |", "|---|---:|---:|---:|"]
    for room, faults in ROOMS.items():
        runs = [r["results"][f.name] for f in faults if f.name in r["results"]]
        noticed = sum(run["result"] == "killed" for run in runs)
        lines.append(_row(room, len(runs), noticed, round(sum(run["cpu_s"] for run in runs))))
    lines.append(_row("all", r["faults"], r["killed"], round(60 * r["cpu_minutes"])))
    planted = {f.name for f in FAULTS}
    left = ", ".join(
        name if name in planted else f"{name} (a check that the code made twice: it is gone)"
        for name in (*r["survivors"], *r["not_compiled"])
    )
    later = r["since"]["results"].values()
    noticed = sum(run["result"] == "killed" for run in later)
    missing = planted.difference(r["results"], r["since"]["results"])
    last = (
        f"One run, {r['workers']} at a time: {r['wall_minutes']:.0f} min of the clock. In the last "
        f"line is also what the tests take without a fault. Not noticed: {left or 'none'}. Of "
        f"{len(later)} faults planted after that run {noticed} were noticed. Not run: "
        f"{', '.join(sorted(missing)) or 'none'}."
    )
    return "\n".join((*lines, "", last))


def kills() -> str:
    """Kills of commands."""
    record = _load("kills.json")
    lines = [
        "| command | kills | wrong results | lost finished work | refused to go on |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, c in record["cases"].items():
        lines.append(_row(f"`{name}`", c["kills"], c["wrong"], c["lost"], c["refused"]))
    total = (record[key] for key in ("kills", "wrong", "lost", "refused"))
    return "\n".join([*lines, _row("all", *total)])


def native() -> str:
    """Fuzzing of C code."""
    lines = [
        "| target | executions | minutes | failed | C files | least lines reached |",
        "|---|" + "---:|" * 5,
    ]
    for name, t in _load("fuzz_native.json")["targets"].items():
        least = min(t["line_coverage_percent"].values())
        files = len(t["line_coverage_percent"])
        cells = (t["executions"], f"{t['minutes']:g}", t["failed"], files, f"{least:.1f} %")
        lines.append(_row(name, *cells))
    return "\n".join(lines)


def coverage() -> str:
    """Lines of C and of assembly that tests reach."""
    record = _load("c_coverage.json")
    lines = [
        "| where | files | all lines reached in | least lines reached |",
        "|---|---:|---:|---|",
    ]
    for place, text in (
        ("host", "builtins, a camera's rows, boxes, sub-words; host, gcov"),
        ("cortex_m7", "C and assembly for DSP instructions; emulated Cortex-M7"),
    ):
        percents = record[place]
        whole = sum(percent == 100 for percent in percents.values())
        rest = sorted((percent, name) for name, percent in percents.items() if percent < 100)
        least = ", ".join(f"`{name}` {percent:.1f} %" for percent, name in rest[:3]) or "-"
        lines.append(_row(text, len(percents), whole, least))
    return "\n".join(lines)


SECTIONS = {
    "commands": commands,
    "reader": reader,
    "mutations": mutations,
    "kills": kills,
    "native": native,
    "coverage": coverage,
}


def render(text: str) -> str:
    """The page with every marked section replaced by what the records give."""
    return filled(text, SECTIONS, "SECURITY.md")


def _body() -> None:
    write_atomic(PAGE, render(PAGE.read_text(encoding="utf-8")).encode())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
