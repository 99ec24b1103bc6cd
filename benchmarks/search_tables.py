# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/search.md that come from records.

    python -m benchmarks.search_tables

A test compares the page with this output.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.marked_sections import filled
from benchmarks.sampling_rules import PASSES
from tflm_vit import flags
from tflm_vit.files import write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("search_tables", __doc__)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "search.md"
RESULTS = ROOT / "docs" / "results"

DISTANCES = ("apart_float64", "apart_float32", "supernet_rounding", "extracted_rounding")


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
    rows = {(row["space"], row["dtype"]): row for row in _read("extract_equality.json")["spaces"]}
    types = ("float64", "float32")
    titles = [f"networks in {each} | worst | median" for each in types]
    lines = [f"| space | {' | '.join(titles)} |", f"|---|{'---:|' * (3 * len(types))}"]
    for space in dict.fromkeys(space for space, _ in rows):
        cells = [
            f"{row['networks']} | {row['worst']:.1e} | {row['median']:.1e}" if row else "- | - | -"
            for row in (rows.get((space, dtype)) for dtype in types)
        ]
        lines.append(f"| `{space}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def rounding() -> str:
    """What float32 does to the networks that are farthest from their supernet in it."""
    record = _read("extract_rounding.json")
    lines = [
        f"| network of `{record['space']}` | apart in float64 | in float32 "
        "| the supernet's float32 from its float64 | the extracted network's |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in record["rows"]:
        cells = " | ".join(f"{row[each]:.1e}" for each in DISTANCES)
        lines.append(f"| {row['network']} | {cells} |")
    return "\n".join(lines)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def sampled() -> str:
    """What rules of sampling bring at equal passes."""
    record = _read("sampling_rules.json")
    trainings = {row["seed"] for row in record["trainings"]}
    lines = [
        "| rule | largest | smallest | random (seeds) | steps |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, row in record["rules"].items():
        own = [each for each in record["trainings"] if each["rule"] == name]
        each = ", ".join(_percent(one["random"]) for one in own)
        steps = own[0]["passes"] // (PASSES if "sandwich" in name else 1)
        lines.append(
            f"| {name} | {_percent(row['largest'])} | {_percent(row['smallest'])} | "
            f"**{_percent(row['random'])}** ({each}) | {steps:,} |"
        )
    lines.append("")
    lines.append(f"(`{record['command']}`, {len(trainings)} seeds.)")
    return "\n".join(lines)


def searched(name: str) -> str:
    """A search beside as many random networks and a hand-made one."""
    record = _read(name)
    lines = [
        "| | test images, seed by seed | mean | inherited | MACs | instructions | SRAM | flash |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for party in dict.fromkeys(row["party"] for row in record["rows"]):
        own = [row for row in record["rows"] if row["party"] == party]
        first = own[0]
        each = ", ".join(f"{100 * row['test_accuracy']:.2f}" for row in own)
        mean = sum(row["test_accuracy"] for row in own) / len(own)
        inherited = "-" if first["inherited"] is None else _percent(first["inherited"])
        lines.append(
            f"| {party}: {first['network']} | {each} % | **{100 * mean:.2f} %** | {inherited} | "
            f"{first['macs'] / 1e6:.2f} M | {first['instructions'] / 1e6:.2f} M | "
            f"{first['sram_bytes']:,} | {first['flash_bytes']:,} |"
        )
    lines.append("")
    for row in record["rows"][:3]:
        lines += [_evaluated(row)] if row["evaluated"] else []
        lines += [_tried(row)] if row.get("candidates") else []
    for name, gain in record["gains"].items():
        points = ", ".join(f"{point:+.2f}" for point in gain["points"])
        within = ""
        if gain["interval"]:
            low, high = gain["interval"]
            within = f" (95 %: {low:+.2f} to {high:+.2f})"
        lines.append(f"Searched {name}: {points} points, mean {gain['mean']:+.2f}{within}.")
    return "\n".join(lines)


def _evaluated(row: dict[str, Any]) -> str:
    """What one party was chosen from."""
    found = row["evaluated"]
    low, middle, high = (f"{macs / 1e6:.2f}" for macs in found["macs"])
    return (
        f"Evaluated, {row['party']}: {found['networks']} networks, inherited "
        f"{_percent(found['inherited_mean'])} % (one standard deviation "
        f"{_percent(found['inherited_deviation'])}), {low} to {high} M multiply-accumulates, "
        f"median {middle}; rank correlation of both {found['spearman_of_macs']:+.2f}."
    )


def _tried(row: dict[str, Any]) -> str:
    """What the last choice of one party was from."""
    each = "; ".join(
        f"inherited {_percent(one['inherited'])}, {one['macs'] / 1e6:.2f} M, "
        f"trained shortly {_percent(one['validation_accuracy'])} %"
        for one in row["candidates"]
    )
    return f"Candidates, {row['party']} (validation images): {each}."


def rounds() -> str:
    """E-T errors of a space before and after each step of its evolution."""
    record = _read("space_evolution.json")
    lines = [
        "| step | before | after | old space trained on as long | what moved |",
        "|---|---:|---:|---:|---|",
    ]
    for number, step in enumerate(record["steps"], 1):
        errors = (step["error_before"], step["error_after"], step["error_control"])
        shown = ["-" if e is None else f"{100 * e['et_error']:.2f} %" for e in errors]
        pairs = zip(_dimensions(step["before"]), _dimensions(step["after"]), strict=True)
        moved = "; ".join(f"{old} -> {new}" for old, new in pairs if old != new)
        lines.append(f"| {number} | {shown[0]} | **{shown[1]}** | {shown[2]} | {moved} |")
    lines.append("")
    lines.append(f"(`{record['command']}`)")
    return "\n".join(lines)


def _dimensions(text: str) -> list[str]:
    """Of `describe_space`: each with its choices."""
    return text.split(", ")


def _if_measured(name: str, section: Callable[[], str]) -> Callable[[], str]:
    """The section of a record, or a line that there is none yet."""
    return lambda: section() if (RESULTS / name).is_file() else f"Not measured yet ({name})."


SECTIONS = {
    "shares": shares,
    "extracted": extracted,
    "rounding": rounding,
    "sampled": _if_measured("sampling_rules.json", sampled),
    **{
        section: _if_measured(name, functools.partial(searched, name))
        for section, name in (
            ("searched", "searched_or_random.json"),
            ("searched_optional", "searched_optional.json"),
        )
    },
    "rounds": _if_measured("space_evolution.json", rounds),
}


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
