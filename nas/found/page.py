# SPDX-License-Identifier: Apache-2.0
"""The report of a search as one page; needs the packages of the extra `report`."""

from __future__ import annotations

from collections.abc import Sequence

from converter.page import figures
from converter.page.document import PageSection, document
from converter.page.markup import Child, Markup, element, joined
from converter.page.tables import Cell, facts, folded, table
from nas.found import charts
from nas.found.evolution_steps import DimensionMove, EvolutionFigures, StepFigures
from nas.found.results import LEAST_TRIALS, SearchFigures, TrialFigures
from tflm_vit.version import VERSION

_HEAD = (
    "trial", "accuracy, %", "latency, ms (estimate)", "SRAM, bytes", "flash, bytes", "parameters",
    "MACs", "network",
)  # fmt: skip


def search_page(found: SearchFigures) -> str:
    """The page's text."""
    sections = [
        PageSection("Pareto front", _front(found)),
        PageSection("All trials", _trials(found)),
        PageSection("Importance of dimensions", _importance(found)),
        *(
            [PageSection("Evolution of the space", _evolution(found.evolution))]
            if found.evolution
            else []
        ),
        PageSection("Versions", facts([("tflm-vit", VERSION), *figures.versions().items()])),
    ]
    return document(f"Search of {found.space}", _lead(found), sections)


def _lead(found: SearchFigures) -> Markup:
    best = max(found.trials, key=lambda t: t.accuracy)
    tiles: list[tuple[Child, str]] = [
        (len(found.trials), "networks evaluated"),
        (len(found.front), "on the Pareto front"),
        (f"{100 * best.accuracy:.2f}", "best accuracy, %"),
        (found.over_budget, "proposals over budget"),
    ]
    boxes = [element("div", element("b", value), element("span", text)) for value, text in tiles]
    what = (
        f"{found.algorithm} on {found.dataset} for {found.target}. Accuracies are with the "
        "supernet's weights; latencies are estimates, no board was timed."
    )
    return joined(element("p", what, class_="soft"), element("div", *boxes, class_="tiles"))


def _cells(trial: TrialFigures) -> tuple[Cell, ...]:
    sizes = (trial.sram_bytes, trial.flash_bytes, trial.params, trial.macs)
    return (str(trial.number), 100 * trial.accuracy, trial.latency_ms, *sizes, trial.network)


def _front(found: SearchFigures) -> Markup:
    caption = (
        "Each point is a network. Blue: none is both as accurate and as fast, and better in one."
    )
    key = figures.colour_key(charts.TRIAL_COLOURS)
    rows = [_cells(trial) for trial in found.members()]
    return joined(
        figures.figure("front", charts.front(found), caption, key), table(_HEAD, rows, "wide")
    )


def _trials(found: SearchFigures) -> Markup:
    caption = "Accuracy in the order of the search."
    key = figures.colour_key(charts.PROGRESS_COLOURS)
    rows = [_cells(trial) for trial in found.trials]
    return joined(
        figures.figure("progress", charts.progress(found), caption, key),
        folded(f"All {len(rows)} networks", table(_HEAD, rows, "wide")),
    )


def _importance(found: SearchFigures) -> Markup:
    if not found.importances:
        few = f"Not told: fewer than {LEAST_TRIALS} networks, or all equally accurate."
        return element("p", few, class_="soft")
    caption = (
        "How much of what accuracies differ by comes from each dimension (functional ANOVA over "
        "the trials; what blocks choose apart is added up). The search saw good networks more "
        "often than bad ones, so that this is of the networks that it looked at."
    )
    rows = [(i.dimension, 100 * i.share) for i in found.importances]
    chart = charts.importance(found)
    return joined(
        figures.figure("importance", chart, caption, Markup("")),
        table(("dimension", "share of the variance, %"), rows),
    )


def _evolution(found: EvolutionFigures) -> Markup:
    caption = (
        "E-T error: mean error of the space and of its best networks (S3). Lower is a better space."
    )
    used = [
        any(value is not None for value in values)
        for values in zip(*((s.et_error, s.control, s.random) for s in found.steps), strict=True)
    ]
    colours = dict(c for c, u in zip(charts.ERROR_COLOURS.items(), used, strict=True) if u)
    head = ("step", "E-T error, %", "old space trained on, %", "moved at random, %", "space")
    rows = [_step(step) for step in found.steps]
    return joined(
        figures.figure("evolution", charts.evolution(found), caption, figures.colour_key(colours)),
        table(head, rows),
        _moves(found.moves),
    )


def _step(s: StepFigures) -> tuple[Cell, ...]:
    errors = (None if e is None else 100 * e for e in (s.et_error, s.control, s.random))
    return (str(s.step), *errors, s.space)


def _moves(moves: Sequence[DimensionMove]) -> Markup:
    if not moves:
        return Markup("")
    head = ("step", "dimension", "choices before", "choices after", "slope of the error, per unit")
    rows = [
        (str(m.step), m.dimension, _listed(m.before), _listed(m.after), f"{m.slope:+.3g}")
        for m in moves
    ]
    return folded("How each dimension moved", table(head, rows))


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
