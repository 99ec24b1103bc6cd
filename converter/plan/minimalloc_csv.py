# SPDX-License-Identifier: Apache-2.0
"""Reads and writes minimalloc's CSV, to compare planners on the same problem.

Columns ``id,lower,upper,size`` and optionally ``alignment`` and ``offset`` (an offset in a file
that is read is a fixed one; in a file that is written, the plan's). Lifetimes are half-open.
The format has no words for overwriting at the same offset, so that a written problem states the
buffers only; ``gaps`` and ``hint`` columns of other tools are refused, not ignored.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from converter.plan.problem import Buffer, PlanError, Problem

REQUIRED = ("id", "lower", "upper", "size")
OPTIONAL = ("alignment", "offset")


def _integer(row: dict[str, str], column: str, line: int) -> int:
    try:
        return int(row[column])
    except (TypeError, ValueError):
        raise PlanError(
            f"csv line {line}, {column}: got {row[column]!r}, expected an integer"
        ) from None


def reads(text: str, default_alignment: int = 1) -> Problem:
    """Parses a CSV text; raises PlanError with the line that is malformed."""
    reader = csv.DictReader(io.StringIO(text))
    names = tuple(n.strip() for n in reader.fieldnames or ())
    missing = [n for n in REQUIRED if n not in names]
    unknown = [n for n in names if n not in REQUIRED + OPTIONAL]
    if missing or unknown:
        raise PlanError(
            f"csv header: got {','.join(names)}; expected {','.join(REQUIRED)} and optionally "
            f"{','.join(OPTIONAL)}"
        )
    reader.fieldnames = names
    buffers = []
    for row in reader:
        line = reader.line_num
        if None in row or None in row.values():
            raise PlanError(f"csv line {line}: expected {len(names)} columns")
        values = {n: _integer(row, n, line) for n in names if n != "id" and row[n].strip()}
        absent = [n for n in REQUIRED[1:] if n not in values]
        if absent:
            raise PlanError(f"csv line {line}: {absent[0]} is empty, expected an integer")
        buffers.append(
            Buffer(
                id=row["id"],
                size_bytes=values["size"],
                lower=values["lower"],
                upper=values["upper"],
                alignment=values.get("alignment", default_alignment),
                offset=values.get("offset"),
            )
        )
    return Problem(tuple(buffers))


def writes(problem: Problem, offsets: Sequence[int] | None = None) -> str:
    """A CSV text of the buffers, with the plan's offsets if given."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fixed = offsets is None and any(b.offset is not None for b in problem.buffers)
    with_offset = fixed or offsets is not None
    writer.writerow([*REQUIRED, "alignment", *(["offset"] if with_offset else [])])
    for i, b in enumerate(problem.buffers):
        offset = b.offset if offsets is None else offsets[i]
        cells: list[object] = [b.id, b.lower, b.upper, b.size_bytes, b.alignment]
        writer.writerow(cells + (["" if offset is None else offset] if with_offset else []))
    return out.getvalue()
