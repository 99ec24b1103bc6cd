# SPDX-License-Identifier: Apache-2.0
"""The charts of a network's page, each from figures of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from converter.inspect.memory_uses import HeldMemory
from converter.inspect.operators import OperatorFigures
from converter.latency import Estimate
from converter.page.figures import ALARM, MUTED, PALETTE, data, scale
from converter.page.markup import short_name
from converter.plan.draw import COLOURS
from converter.plan.report import MemoryReport
from converter.sensitivity.report import SensitivityReport, short

PART_COLOURS = {
    "arena": PALETTE[0],
    "streaming state": PALETTE[5],
    "stack": PALETTE[3],
    "data": PALETTE[2],
    "static data": PALETTE[2],
    "constants": PALETTE[1],
    "code": PALETTE[6],
    "alignment": MUTED,
}
TIME_COLOURS = {
    "instructions": PALETTE[0],
    "constants read from flash": PALETTE[1],
    "activations through the cache": PALETTE[2],
}
STUDY_COLOURS = {"alone in integers": PALETTE[0], "alone in float": PALETTE[1]}
CEILING_DB = 80.0  # shown for "nothing differs"
_ROW, _THIN_ROW = 34, 12  # pixels of a bar


def memory_bars(uses: Sequence[HeldMemory]) -> Any:
    """Share that is taken of each memory with a limit; where there is none, shares of the parts."""
    limited = tuple(use for use in uses if use.limit_bytes is not None)
    uses, title = (limited or uses), f"share of {'the memory' if limited else 'what it holds'}, %"
    rows: list[dict[str, Any]] = []
    for use in uses:
        whole, start = use.limit_bytes or use.used_bytes or 1, 0
        for part, size in use.parts:
            rows.append({
                "memory": use.name, "part": part, "bytes": size,
                "from": 100 * start / whole, "to": 100 * (start + size) / whole,
                "says": f"{use.name}: {part}, {size:,} bytes",
            })  # fmt: skip
            start += size
    top = max(100.0, *(row["to"] for row in rows))
    bars = alt.Chart(data(rows)).encode(
        y=alt.Y("memory:N", sort=None, title=None),
        x=alt.X("from:Q", title=title, scale=alt.Scale(domain=[0, top])),
        x2="to:Q",
        color=alt.Color("part:N", scale=scale(PART_COLOURS), legend=None),
        description="says:N",
        tooltip=[
            alt.Tooltip("memory:N"), alt.Tooltip("part:N"), alt.Tooltip("bytes:Q", format=","),
        ],
    )  # fmt: skip
    rule = alt.Chart(data([{"limit": 100}])).mark_rule(color=ALARM, strokeDash=[4, 3], size=2)
    marks = bars.mark_bar(height={"band": 0.62})
    return alt.layer(marks, rule.encode(x="limit:Q")).properties(height=_ROW * len(uses))


def latency_bar(told: Estimate, limit_ms: float | None) -> Any:
    """Parts of an estimate, one behind the other, against a limit."""
    rows, start, summands = [], 0.0, latency_parts(told)
    for part, ms in summands:
        says = f"{part}, {ms:.3f} ms (estimate)"
        rows.append({"part": part, "ms": ms, "from": start, "to": start + ms, "says": says})
        start += ms
    colours = dict(zip((part for part, _ in summands), PALETTE, strict=False))
    bars = alt.Chart(data(rows)).mark_rect(height=_ROW * 0.62)
    bars = bars.encode(
        x=alt.X("from:Q", title="time of an inference, ms (estimate)"),
        x2="to:Q",
        color=alt.Color("part:N", scale=scale(colours), legend=None),
        description="says:N",
        tooltip=["part:N", alt.Tooltip("ms:Q", format=",.2f", title="ms (estimate)")],
    )
    layers = [bars]
    if limit_ms is not None:
        rule = alt.Chart(data([{"limit": limit_ms}]))
        rule = rule.mark_rule(color=ALARM, strokeDash=[4, 3], size=2)
        layers.append(rule.encode(x="limit:Q"))
    return alt.layer(*layers).properties(height=_ROW)


def latency_parts(told: Estimate) -> list[tuple[str, float]]:
    """What an estimate consists of: names and milliseconds."""
    parts = [("instructions", told.compute_ms)]
    parts += [(f"read of {read.region.name}", read.sequential_ms) for read in told.reads]
    seeks = told.high_ms - told.low_ms
    return [*parts, ("seeks", seeks)] if seeks > 0 else parts


def memory_map(memory: MemoryReport) -> Any:
    """Each buffer from the operator that writes it to the last one that reads it."""
    rows = [
        {
            "buffer": short_name(r.name), "kind": r.kind.value,
            "first": r.lower - 1, "last": r.upper - 2,
            "from": r.lower - 1.5, "to": r.upper - 1.5,
            "offset": r.offset, "end": r.offset + r.size_bytes, "bytes": r.size_bytes,
            "says": f"{short_name(r.name)}: {r.kind.value}, "
            f"{r.size_bytes:,} bytes at {r.offset:,}",
        }
        for r in memory.rectangles
    ]  # fmt: skip
    peak = [{"from": memory.peak.op - 0.5, "to": memory.peak.op + 0.5}]
    band = alt.Chart(data(peak)).mark_rect(color=MUTED, opacity=0.2)
    band = band.encode(x="from:Q", x2="to:Q")
    boxes = alt.Chart(data(rows)).mark_rect(opacity=0.85, stroke="currentColor", strokeWidth=0.4)
    boxes = boxes.encode(
        x=_operator_axis("from:Q", len(memory.ops)),
        x2="to:Q",
        y=alt.Y("offset:Q", title="place in the arena, bytes", axis=alt.Axis(format=",d")),
        y2="end:Q",
        color=alt.Color("kind:N", scale=scale(kind_colours()), legend=None),
        description="says:N",
        tooltip=[
            alt.Tooltip("buffer:N"),
            alt.Tooltip("kind:N"),
            alt.Tooltip("bytes:Q", format=","),
            alt.Tooltip("offset:Q", format=","),
            alt.Tooltip("first:Q", title="from operator"),
            alt.Tooltip("last:Q", title="to operator"),
        ],
    )
    return alt.layer(band, boxes).properties(height=340)


def kind_colours() -> dict[str, str]:
    """Of the memory map."""
    return {kind.value: colour for kind, colour in COLOURS.items()}


def _operator_axis(field: str, operators: int) -> Any:
    title = "operator (-1: the inputs)"
    return alt.X(
        field,
        title=title,
        scale=alt.Scale(domain=[-1.5, operators - 0.5], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d"),
    )


def operator_times(operators: Sequence[OperatorFigures]) -> Any:
    """Milliseconds of each operator, by what takes them; one of the operators has times."""
    rows = []
    for o in operators:
        if o.time is None:
            continue
        parts, start = (o.time.compute_ms, o.time.weights_ms, o.time.activations_ms), 0.0
        for part, ms in zip(TIME_COLOURS, parts, strict=True):
            rows.append({
                "from": o.op - 0.4, "to": o.op + 0.4, "start": start, "end": start + ms,
                "op": o.op, "operator": o.name, "part": part, "ms": ms,
                "says": f"operator {o.op} {o.name}: {part}, {ms:.3f} ms (estimate)",
            })  # fmt: skip
            start += ms
    chart = alt.Chart(data(rows)).mark_rect()
    return chart.encode(
        x=_operator_axis("from:Q", len(operators)),
        x2="to:Q",
        y=alt.Y("start:Q", title="time, ms (estimate)"),
        y2="end:Q",
        color=alt.Color("part:N", scale=scale(TIME_COLOURS), legend=None),
        description="says:N",
        tooltip=[
            alt.Tooltip("op:Q"),
            alt.Tooltip("operator:N"),
            alt.Tooltip("part:N"),
            alt.Tooltip("ms:Q", format=",.3f", title="ms (estimate)"),
        ],
    ).properties(height=240)


def sensitivity(report: SensitivityReport) -> Any:
    """Logits of each operator alone in integers, and alone in float."""
    rows = []
    for op in report.operators:
        values = (op.alone_db, op.left_out_db)
        rows += [
            {"operator": f"{op.index} {short(op.label)}", "which": which, "exact": value is None,
             "dB": CEILING_DB if value is None else min(value, CEILING_DB),
             "says": f"operator {op.index} {op.name} {which}: "
             f"{'exact' if value is None else f'{value:.1f} dB'}"}
            for which, value in zip(STUDY_COLOURS, values, strict=True)
        ]  # fmt: skip
    bars = alt.Chart(data(rows)).mark_bar()
    bars = bars.encode(
        y=alt.Y("operator:N", sort=None, title="operator"),
        yOffset=alt.YOffset("which:N", sort=list(STUDY_COLOURS)),
        x=alt.X("dB:Q", title="SQNR of the logits, dB"),
        color=alt.Color("which:N", scale=scale(STUDY_COLOURS), legend=None),
        description="says:N",
        tooltip=["operator:N", "which:N", alt.Tooltip("dB:Q", format=".1f")],
    )
    layers = [bars]
    if report.db is not None:
        rule = alt.Chart(data([{"all": report.db}])).mark_rule(color=ALARM, strokeDash=[4, 3])
        layers.append(rule.encode(x="all:Q"))
    return alt.layer(*layers).properties(height=2 * _THIN_ROW * len(report.operators))
