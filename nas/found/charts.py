# SPDX-License-Identifier: Apache-2.0
"""The charts of a search's page."""

from __future__ import annotations

from typing import Any

import altair as alt

from converter.page.figures import MUTED, PALETTE, data, scale
from nas.found.evolution_steps import EvolutionFigures
from nas.found.results import SearchFigures, TrialFigures

EVALUATED, FRONT = "evaluated", "Pareto front"
TRIAL_COLOURS = {EVALUATED: MUTED, FRONT: PALETTE[0]}
BEST = "best so far"
PROGRESS_COLOURS = {EVALUATED: MUTED, BEST: PALETTE[1]}
ERROR_COLOURS = {
    "evolved space": PALETTE[0],
    "old space, trained on": PALETTE[1],
    "moved at random": PALETTE[3],
}
_ACCURACY = "accuracy with the supernet's weights, %"
_ROW = 26  # pixels of a bar
_SHARES = 10  # marks of an axis of shares, about; a wide page would have 40


def _row(trial: TrialFigures, kind: str) -> dict[str, Any]:
    return {
        "trial": trial.number, "kind": kind, "accuracy": 100 * trial.accuracy,
        "ms": trial.latency_ms, "sram": trial.sram_bytes, "flash": trial.flash_bytes,
        "network": trial.network,
        "says": f"{kind}: trial {trial.number}, {100 * trial.accuracy:.2f} %, "
        f"{trial.latency_ms:.1f} ms (estimate)",
    }  # fmt: skip


def _tooltip() -> list[Any]:
    return [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("accuracy:Q", format=".2f", title="accuracy, %"),
        alt.Tooltip("ms:Q", format=",.1f", title="ms (estimate)"),
        alt.Tooltip("sram:Q", format=",d", title="SRAM, bytes"),
        alt.Tooltip("flash:Q", format=",d", title="flash, bytes"),
        alt.Tooltip("network:N"),
    ]


def front(found: SearchFigures) -> Any:
    """Accuracy against latency, the front as a step."""
    members = set(found.front)
    rows = [_row(t, EVALUATED) for t in found.trials if t.number not in members]
    best = [_row(t, FRONT) for t in found.members()]
    x = alt.X("ms:Q", title="latency, ms (estimate)", scale=alt.Scale(zero=False, nice=True))
    y = alt.Y("accuracy:Q", title=_ACCURACY, scale=alt.Scale(zero=False))
    colour = alt.Color("kind:N", scale=scale(TRIAL_COLOURS), legend=None)
    steps = alt.Chart(data(best)).mark_line(interpolate="step-after", aria=False)
    line = steps.encode(x=x, y=y, color=colour)

    def points(values: list[dict[str, Any]], size: int) -> Any:
        marks = alt.Chart(data(values)).mark_circle(size=size, opacity=0.85)
        return marks.encode(x=x, y=y, color=colour, description="says:N", tooltip=_tooltip())

    return alt.layer(points(rows, 28), line, points(best, 70)).properties(height=340)


def progress(found: SearchFigures) -> Any:
    """Accuracy of each trial in the order of the search, and the best so far."""
    rows = [_row(t, EVALUATED) for t in found.trials]
    best, line = 0.0, []
    for trial in found.trials:
        best = max(best, 100 * trial.accuracy)
        line.append({"trial": trial.number, "accuracy": best, "kind": BEST})
    x = alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y("accuracy:Q", title=_ACCURACY, scale=alt.Scale(zero=False))
    colour = alt.Color("kind:N", scale=scale(PROGRESS_COLOURS), legend=None)
    points = alt.Chart(data(rows)).mark_circle(size=24, opacity=0.7, aria=False)
    points = points.encode(x=x, y=y, color=colour, tooltip=_tooltip())
    steps = alt.Chart(data(line)).mark_line(interpolate="step-after", aria=False)
    return alt.layer(points, steps.encode(x=x, y=y, color=colour)).properties(height=240)


def importance(found: SearchFigures) -> Any:
    """Share of the variance of the accuracy by dimension."""
    rows = [
        {"dimension": i.dimension, "share": 100 * i.share,
         "says": f"{i.dimension}: {100 * i.share:.1f} % of the variance"}
        for i in found.importances
    ]  # fmt: skip
    bars = alt.Chart(data(rows)).mark_bar(color=PALETTE[0], height={"band": 0.7})
    return bars.encode(
        y=alt.Y("dimension:N", sort=None, title="dimension"),
        x=alt.X(
            "share:Q",
            title="share of the variance of the accuracy, %",
            axis=alt.Axis(tickCount=_SHARES),
        ),
        description="says:N",
        tooltip=["dimension:N", alt.Tooltip("share:Q", format=".1f", title="%")],
    ).properties(height=_ROW * max(1, len(rows)))


def evolution(found: EvolutionFigures) -> Any:
    """E-T errors of the space after each step."""
    rows = [
        {"step": s.step, "kind": kind, "error": 100 * error, "space": s.space,
         "says": f"{kind}: step {s.step}, E-T error {100 * error:.2f} %"}
        for s in found.steps
        for kind, error in zip(ERROR_COLOURS, (s.et_error, s.control, s.random), strict=True)
        if error is not None
    ]  # fmt: skip
    base = alt.Chart(data(rows)).encode(
        x=alt.X("step:Q", title="steps of the space", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("error:Q", title="E-T error, %", scale=alt.Scale(zero=False)),
        color=alt.Color("kind:N", scale=scale(ERROR_COLOURS), legend=None),
    )
    line = base.transform_filter("datum.kind == 'evolved space'").mark_line(aria=False)
    points = base.mark_circle(size=70).encode(
        description="says:N",
        tooltip=["step:Q", "kind:N", alt.Tooltip("error:Q", format=".2f"), "space:N"],
    )
    return alt.layer(line, points).properties(height=240)
