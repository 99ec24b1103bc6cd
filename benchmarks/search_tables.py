# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/search.md that come from records.

    python -m benchmarks.search_tables

A test compares the page with this output.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.marked_sections import filled
from tflm_vit import flags
from tflm_vit.files import write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("search_tables", __doc__)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "search.md"
RESULTS = ROOT / "docs" / "results"


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def share(row: dict[str, Any]) -> str:
    """For example "92.5 ± 3.7 %"; where none fits, which memory is why."""
    if row["share_both"]:
        within = f" ± {100 * row['interval']:.1f}" if row["drawn"] else ""
        return f"{100 * row['share_both']:.1f}{within} %"
    of = f" of {row['drawn']}" if row["drawn"] else ""
    if row["share_sram"] and row["share_flash"]:
        why = f"SRAM {100 * row['share_sram']:.0f} %, flash {100 * row['share_flash']:.1f} %"
    else:
        why = "flash" if row["share_sram"] else "SRAM"
    return f"0{of} ({why})"


def shares() -> str:
    """How much of each space fits each board."""
    rows = _read("space_shares.json")["rows"]
    boards = sorted({row["board"] for row in rows})
    found = {(row["space"], row["board"]): row for row in rows}
    lines = [
        f"| space | networks drawn | {' | '.join(boards)} |",
        f"|---|---:|{'---:|' * len(boards)}",
    ]
    for space in dict.fromkeys(row["space"] for row in rows):
        own = [found[space, board] for board in boards if (space, board) in found]
        drawn = max(row["drawn"] for row in own) or "all"
        cells = [share(found[space, b]) if (space, b) in found else "-" for b in boards]
        lines.append(f"| `{space}` | {drawn} | {' | '.join(cells)} |")
    return "\n".join(lines)


def extracted() -> str:
    """How far extracted networks are from their supernet."""
    lines = ["| space | random networks | worst | median |", "|---|---:|---:|---:|"]
    for row in _read("extract_equality.json")["spaces"]:
        lines.append(
            f"| `{row['space']}` | {row['networks']} | {row['worst']:.1e} | {row['median']:.1e} |"
        )
    return "\n".join(lines)


SECTIONS = {"shares": shares, "extracted": extracted}


def render(text: str) -> str:
    """The page with its marked parts replaced."""
    return filled(text, SECTIONS, "docs/search.md")


def _body() -> None:
    write_atomic(PAGE, render(PAGE.read_text(encoding="utf-8")).encode())


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
