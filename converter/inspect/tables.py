# SPDX-License-Identifier: Apache-2.0
"""The report as tables and as plain data."""

from __future__ import annotations

import dataclasses
from typing import Any

from converter.contract import Stated
from converter.inspect import placement
from converter.inspect.memory_uses import memory_uses
from converter.inspect.operators import operator_figures
from converter.inspect.report import Budgets, ModelReport
from converter.page.markup import plain, short_name
from converter.plan.report import BufferKind, Rectangle
from converter.support import verdicts

Table = list[list[str]]
_NAMES_SHOWN = 5


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
    sections.append(["constants in an image", f"{found.constant_bytes:,}"])
    rows = [["op", "name", "live bytes", "scratch", "MACs", "weight bytes read", "schedule"]]
    for o in operator_figures(found):
        numbers = (o.live_bytes, o.scratch_bytes, o.macs, o.weight_bytes_read)
        rows.append([str(o.op), o.name, *(f"{n:,}" for n in numbers), o.schedule])
    mode = "streamed" if memory.streamed else "resident"
    source = "planned now; the file has no plan" if found.planned_here else "the file's plan"
    board = [] if budgets.fit is None else [(f"{budgets.fit.board.title}", budgets.fit.rows())]
    return [
        (f"SRAM: {mode} image, {source}, {proof}", sram),
        (f"Peak: op {memory.peak.op} {memory.peak.name}, {memory.peak.live_bytes:,} bytes", kinds),
        ("Flash", sections),
        ("Inputs and outputs", _ends(found)),
        *_contract_table(found.contract),
        *board,
        *(placement.tables(found, budgets.fit) if budgets.fit else []),
        ("Operators", rows),
    ]


def _ends(found: ModelReport) -> Table:
    rows = [["tensor", "name", "type", "shape", "scale", "zero point"]]
    for end in found.ends:
        numbers = ("", "") if end.scale is None else (f"{end.scale:.9g}", str(end.zero_point))
        shape = " x ".join(map(str, end.shape)) or "one value"
        rows.append([end.what, plain(short_name(end.name)), end.dtype, shape, *numbers])
    return rows


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
    return [("Images and classes", [["the file", "says"], *said])] if said else []


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
            "constant_bytes": found.constant_bytes,
            "code_bytes": budgets.code_bytes,
            "sections": dict(flash.sections),
        },
        "ops": [dataclasses.asdict(o) for o in operator_figures(found, budgets.fit)],
        "buffers": [_buffer(rectangle) for rectangle in memory.rectangles],
        "ends": [dataclasses.asdict(end) for end in found.ends],
        "contract": _contract(found.contract),
        "verdict": [
            {"runtime": v.runtime, "runs": v.runs, "reasons": list(v.reasons)}
            for v in verdicts(found.stated.graph)
        ],
        "kinds": [k.value for k in BufferKind],
        "memories": [dataclasses.asdict(use) for use in memory_uses(found, budgets)],
        **({"board": budgets.fit.as_dict()} if budgets.fit else {}),
        **(placement.as_dict(found, budgets.fit) if budgets.fit else {}),
    }


def _contract(stated: Stated) -> dict[str, Any]:
    """A task by its name: it has functions besides."""
    return dataclasses.asdict(stated) | {"task": stated.task.name}


def _buffer(rectangle: Rectangle) -> dict[str, Any]:
    return {
        "name": rectangle.name,
        "kind": rectangle.kind.value,
        "lower": rectangle.lower,
        "upper": rectangle.upper,
        "offset": rectangle.offset,
        "size_bytes": rectangle.size_bytes,
    }
