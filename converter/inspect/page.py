# SPDX-License-Identifier: Apache-2.0
"""The report of a network as one page; needs the packages of the extra `report`."""

from __future__ import annotations

import dataclasses

from boards.memory import RegionKind
from converter.inspect import charts
from converter.inspect import page_sections as parts
from converter.inspect.memory_uses import HeldMemory, memory_uses
from converter.inspect.operators import INPUTS, OperatorFigures, operator_figures
from converter.inspect.placement import latency, not_modelled
from converter.inspect.report import Budgets, ModelReport
from converter.inspect.sources import Sources
from converter.latency import ASSUMES, Estimate
from converter.page import figures
from converter.page.document import PageSection, document
from converter.page.markup import Markup, element, joined, short_name
from converter.page.tables import Cell, folded, long_table, table
from converter.support import verdicts
from converter.support.verdict import Verdict


@dataclasses.dataclass(frozen=True, eq=False)
class Inspected:
    """What a page is made of.

    Attributes:
      refusal: the line for a model that is over a budget.
    """

    found: ModelReport
    budgets: Budgets
    sources: Sources
    refusal: str | None = None

    def operators(self) -> list[OperatorFigures]:
        return operator_figures(self.found, self.budgets.fit)

    def estimate(self) -> Estimate | None:
        """Of one inference."""
        return None if self.budgets.fit is None else latency(self.found, self.budgets.fit)


def network_page(inspected: Inspected) -> str:
    """The page's text."""
    operators = inspected.operators()
    sections = [
        PageSection("Budgets", _budgets(inspected)),
        PageSection("Memory over time", _memory(inspected)),
        PageSection("Operators", _operators(inspected, operators)),
        PageSection("Graph before and after fusing", parts.graph(inspected.sources, operators)),
        *parts.study(inspected.sources.sensitivity),
        PageSection("Input and output", parts.contract(inspected.found)),
        PageSection("Flash by section", parts.flash(inspected.found)),
        PageSection("Versions", parts.versions(inspected.sources)),
    ]
    return document(inspected.sources.name, _lead(inspected), sections)


def _lead(inspected: Inspected) -> Markup:
    found, board = inspected.found, inspected.budgets.fit
    fused = sum(op is not None for op in found.stated.ops)
    image = "streamed in rows" if found.memory.streamed else "whole in the arena"
    plan = "made for this report, the file has none" if found.planned_here else "as in the file"
    what = f"{len(found.stated.ops)} operators, {fused} of them fused. Input {image}. Plan {plan}."
    on = "" if board is None else f" Board: {board.board.title}."
    chips = [_chip(v) for v in verdicts(found.stated.graph)]
    if inspected.refusal:
        chips.append(element("li", inspected.refusal, class_="bad"))
    elif board is not None:
        chips.append(element("li", f"fits {board.board.title}", class_="good"))
    return joined(
        element("p", what + on, class_="soft"),
        element("ul", *chips, class_="chips"),
        _tiles(inspected),
    )


def _chip(verdict: Verdict) -> Markup:
    return element("li", str(verdict), class_="good" if verdict.runs else "bad")


def _tiles(inspected: Inspected) -> Markup:
    found, told = inspected.found, inspected.estimate()
    sram = sum(size for _, size in found.sram_parts(inspected.budgets))
    work = [op.instructions for op in inspected.operators()]
    tiles: list[tuple[Markup | str | int, str]] = [
        (found.memory.arena_bytes, "arena, bytes"),
        (sram, "SRAM in all, bytes"),
        (found.constant_bytes, "constants, bytes"),
    ]
    if None not in work:
        tiles.append((sum(w or 0 for w in work), "instructions (estimate)"))
    if told is not None:
        tiles.append((str(told).replace(" ms (estimate)", ""), "ms an inference (estimate)"))
    boxes = [element("div", element("b", value), element("span", text)) for value, text in tiles]
    return element("div", *boxes, class_="tiles")


def _budgets(inspected: Inspected) -> Markup:
    uses = memory_uses(inspected.found, inspected.budgets)
    held = {name for use in uses for name, _ in use.parts}
    colours = {name: c for name, c in charts.PART_COLOURS.items() if name in held}
    caption = (
        "What each memory holds, with the bytes that alignment leaves between sections (not "
        "in “SRAM in all”); the dashed line is its end."
    )
    if all(use.limit_bytes is None for use in uses):
        caption = "What SRAM and flash hold; with a board or a budget, how much of it that is."
    rows = [_use_row(use) for use in uses]
    return joined(
        figures.figure(
            "memory-bars", charts.memory_bars(uses), caption, figures.colour_key(colours)
        ),
        table(("memory", "bytes", "of, bytes", "share, %", "holds"), rows),
        _latency(inspected),
    )


def _use_row(use: HeldMemory) -> tuple[Cell, ...]:
    holds = ", ".join(f"{name} {size:,}" for name, size in use.parts)
    share = None if use.limit_bytes is None else 100 * use.used_bytes / use.limit_bytes
    return (use.name, use.used_bytes, use.limit_bytes, share, holds)


def _latency(inspected: Inspected) -> Markup:
    told, fit = inspected.estimate(), inspected.budgets.fit
    heading = element("h3", "Latency")
    if fit is None:
        return joined(heading, element("p", "Name a board with --board for an estimate."))
    if told is None:
        why = (
            f"the work of some builtin operators is not modelled ({not_modelled(inspected.found)})"
        )
        if fit.misfit() is not None:
            why = "the model does not fit the board"
        return joined(heading, element("p", f"No estimate: {why}."))
    summands = charts.latency_parts(told)
    colours = dict(zip((name for name, _ in summands), figures.PALETTE, strict=False))
    limit = inspected.budgets.latency_ms
    caption = f"{told}. Assumes: {ASSUMES}. No board was timed."
    if limit is not None:
        caption += f" The dashed line is the limit, {limit:,g} ms."
    read = {f"read of {r.region.name}": round(r.size_bytes) for r in told.reads}
    rows: list[tuple[Cell, ...]] = [(name, read.get(name), ms) for name, ms in summands]
    rows.append(("in all", None, told.high_ms))
    return joined(
        heading,
        figures.figure(
            "latency-bar", charts.latency_bar(told, limit), caption, figures.colour_key(colours)
        ),
        table(("of one inference", "bytes", "ms (estimate)"), rows),
    )


def _memory(inspected: Inspected) -> Markup:
    memory = inspected.found.memory
    gap = memory.arena_bytes - memory.lower_bound_bytes
    proof = "which is proved to be the least" if not gap else f"{gap:,} above the proven bound"
    caption = (
        f"The arena: {memory.arena_bytes:,} bytes, {proof}. Each box is a buffer, from the "
        "operator that writes it to the last that reads it. Grey: the peak, operator "
        f"{memory.peak.op} {memory.peak.name}, {memory.peak.live_bytes:,} bytes."
    )
    used = {r.kind.value for r in memory.rectangles}
    colours = {name: c for name, c in charts.kind_colours().items() if name in used}
    rows: list[tuple[Cell, ...]] = [
        (short_name(r.name), r.kind.value, r.offset, r.size_bytes, r.lower - 1, r.upper - 2)
        for r in memory.rectangles
    ]
    head = ("buffer", "kind", "offset", "bytes", "from operator", "to operator")
    peak: list[tuple[Cell, ...]] = [(kind.value, size) for kind, size in memory.peak_by_kind]
    return joined(
        figures.figure(
            "memory-map", charts.memory_map(memory), caption, figures.colour_key(colours)
        ),
        table(("at the peak", "bytes"), peak),
        folded(f"All {len(rows)} buffers", table(head, rows)),
    )


def _operators(inspected: Inspected, operators: list[OperatorFigures]) -> Markup:
    shown = []
    if any(o.time for o in operators):
        caption = "Where the time of an inference goes; the same operators as above."
        key = figures.colour_key(charts.TIME_COLOURS)
        chart = charts.operator_times(operators)
        shown.append(figures.figure("operator-times", chart, caption, key))
    fit = inspected.budgets.fit
    flash = "flash" if fit is None else fit.constants_region.name
    external = fit is not None and fit.constants_region.kind is RegionKind.EXTERNAL_FLASH
    where = f"constants in {flash}{' (external)' if external else ''}, bytes"
    head = (
        "operator", "reads", "writes", "MACs", "instructions (estimate)", "ms (estimate)",
        where, "weights read, bytes", "arena, bytes", "scratch in it, bytes", "schedule",
    )  # fmt: skip
    rows = [_operator_row(o) for o in operators]
    note = (
        "MACs, instructions and time of builtin operators are not modelled. Arena: what lives "
        "while the operator runs. Constants that several operators read count for the first."
    )
    return joined(*shown, long_table("operators", head, rows), element("p", note, class_="soft"))


def _operator_row(o: OperatorFigures) -> tuple[Cell, ...]:
    reads = ", ".join("input" if r == INPUTS else str(r) for r in o.reads)
    time = None if o.time is None else o.time.total_ms
    known = o.fused or None
    return (
        f"{o.op} {o.name}", reads, o.output, known and o.macs, o.instructions, time,
        o.constant_bytes, known and o.weight_bytes_read, o.live_bytes, o.scratch_bytes, o.schedule,
    )  # fmt: skip
