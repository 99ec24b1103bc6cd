# SPDX-License-Identifier: Apache-2.0
"""Parts of a network's page that need neither budgets nor a board."""

from __future__ import annotations

from converter.inspect import charts, graph_strips
from converter.inspect.operators import OperatorFigures
from converter.inspect.report import EndTensor, ModelReport
from converter.inspect.sources import Sources
from converter.page import figures
from converter.page.document import PageSection
from converter.page.markup import Markup, element, joined, short_name
from converter.page.tables import Cell, facts, folded, table
from converter.sensitivity.report import SensitivityReport, short

_NAMES_SHOWN = 12  # classes before the list is folded


def graph(sources: Sources, operators: list[OperatorFigures]) -> Markup:
    before = sources.before
    if before is None:
        hint = "Give the plain model with --plain_model to see what each operator replaces."
        return element("p", hint, class_="soft")
    shown = {graph_strips.kind_of(name) for name in before.operators}
    shown |= {graph_strips.state_of(o) for o in operators}
    colours = {kind: c for kind, c in graph_strips.COLOURS.items() if kind in shown}
    caption = (
        f"{len(before.operators)} operators before, {len(operators)} after. Above: the plain "
        "operators. Below: those that replace them, with their numbers."
    )
    chart = graph_strips.strips(before, operators)
    return joined(
        figures.figure("graph", chart, caption, figures.colour_key(colours)),
        folded("What each operator replaces", graph_strips.replaced_table(before, operators)),
    )


def study(report: SensitivityReport | None) -> list[PageSection]:
    if report is None:
        return []
    caption = (
        f"{report.model}, residual int{report.residual_bits}, {report.calibration} ranges, "
        f"{report.images} images. A short blue bar: an operator that costs much by itself. An "
        "orange bar beyond the dashed line (all in integers): one that more precision would help."
    )
    head = ("operator", "own, dB", "alone in integers, dB", "alone in float, dB")
    rows = [
        (f"{op.index} {short(op.label)}", op.own_db, op.alone_db, op.left_out_db)
        for op in report.operators
    ]
    chart = charts.sensitivity(report)
    key = figures.colour_key(charts.STUDY_COLOURS)
    body = joined(
        figures.figure("sensitivity", chart, caption, key),
        folded("All figures", table(head, rows), element("p", report.command, class_="soft")),
    )
    return [PageSection("Quantization sensitivity", body)]


def contract(found: ModelReport) -> Markup:
    stated = found.contract
    head = ("tensor", "name", "type", "shape", "scale", "zero point")
    rows = [_row(end) for end in found.ends]
    said: list[tuple[str, Markup | str]] = [("task", f"{stated.task.name}: {stated.task.does}")]
    if stated.normalization is not None:
        said.append(("a byte becomes", str(stated.normalization)))
    if stated.color_order:
        said.append(("order of colors", stated.color_order))
    if stated.trained_on is not None:
        said.append(("trained on", str(stated.trained_on)))
    if stated.class_names:
        said.append((f"{len(stated.class_names)} classes", _classes(stated.class_names)))
    silent = "The file does not say how bytes become its input."
    note = Markup("") if stated.normalization else element("p", silent, class_="soft")
    return joined(table(head, rows), facts(said), note)


def _classes(names: tuple[str, ...]) -> Markup | str:
    text = ", ".join(names)
    if len(names) <= _NAMES_SHOWN:
        return text
    return folded(", ".join(names[:_NAMES_SHOWN]) + ", ...", element("p", text))


def _row(end: EndTensor) -> tuple[Cell, ...]:
    scale = "" if end.scale is None else f"{end.scale:.9g}"
    shape = str(list(end.shape))
    return (end.what, short_name(end.name), end.dtype, shape, scale, end.zero_point)


def flash(found: ModelReport) -> Markup:
    rows: list[tuple[Cell, ...]] = [(name, size) for name, size in found.flash.sections]
    rows.append(("the file", found.flash.file_bytes))
    rows.append(("constants in an image", found.constant_bytes))
    return table(("section of the file", "bytes"), rows)


def versions(sources: Sources) -> Markup:
    made = [*sources.versions, *figures.versions().items()]
    return facts([("file", sources.name), ("SHA-256", sources.sha256), *made])
