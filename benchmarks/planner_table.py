# SPDX-License-Identifier: Apache-2.0
"""Writes the table of the planner's results in docs/memory.md from docs/results/planner.json.

    python -m benchmarks.planner_table

A test compares the page with this output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflm_vit import flags
from tflm_vit.files import write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("planner_table", __doc__)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "memory.md"
RESULTS = ROOT / "docs" / "results"
HEAD = """| problem | buffers | capacity | fits after, s | bytes | seconds | lower bound | greedy |
|---|---:|---:|---:|---:|---:|---:|---:|"""


def _row(result: dict[str, Any]) -> str:
    fit = "-" if result["fit_s"] is None else f"{result['fit_s']:.1f}"
    optimal = ", optimal" if result["proven"] else ""
    return (
        f"| {result['problem']} | {result['buffers']} | {result['capacity']:,} | {fit} | "
        f"{result['bytes']:,}{optimal} | {result['seconds']:.1f} | {result['lower_bound']:,} | "
        f"{result['greedy']:,} |"
    )


def table() -> str:
    """Of the recorded results."""
    hard = json.loads((RESULTS / "planner.json").read_text())
    drawn = hard["random"]
    return "\n".join(
        [
            HEAD,
            *map(_row, hard["results"]),
            "",
            f"{hard['fitting']} of {len(hard['results'])} fit their capacity "
            f"({hard['predicted_fitting']} were expected). Of {drawn['problems']:,} random ones "
            f"with a twentieth of a second each, {drawn['smaller']} are smaller than greedy's, "
            f"{drawn['equal']} equal, {drawn['larger']} larger; {drawn['proven']} are proven; "
            f"{100 * drawn['mean_share']:.1f} % of greedy's bytes on average.",
        ]
    )


def render(text: str) -> str:
    """The page with the marked part replaced."""
    pattern = r"(<!-- generated: planner -->\n).*?(<!-- end -->)"
    if len(re.findall(pattern, text, flags=re.S)) != 1:
        raise ValueError("docs/memory.md: expected one section marked 'planner'")
    return re.sub(pattern, lambda m: f"{m[1]}{table()}\n{m[2]}", text, flags=re.S)


def _body() -> None:
    write_atomic(PAGE, render(PAGE.read_text()).encode())


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
