# SPDX-License-Identifier: Apache-2.0
"""The sensitivity report as a chart."""

from __future__ import annotations

import io

from converter.sensitivity.report import SensitivityReport, short
from tflm_vit.files import write_atomic

_ALONE, _LEFT_OUT, _ALL = "#1f6fb4", "#d9822b", "#444444"
_CEILING_DB = 80.0  # for "nothing differs"


def draw(report: SensitivityReport, path: str) -> None:
    """Writes a PNG: logit SQNR of each operator alone, and of all without it.

    A short blue bar is an operator that costs much by itself; an orange bar well above the line is
    one that would be worth more precision.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(report.operators)
    figure = Figure(figsize=(8, 1.2 + 0.32 * count), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = range(count)
    alone = [_ceiling(op.alone_db) for op in report.operators]
    left_out = [_ceiling(op.left_out_db) for op in report.operators]
    axes.barh([r - 0.2 for r in rows], alone, 0.38, color=_ALONE, label="alone in integers")
    axes.barh([r + 0.2 for r in rows], left_out, 0.38, color=_LEFT_OUT, label="alone in float")
    if report.db is not None:
        axes.axvline(report.db, color=_ALL, linestyle="--", label="all in integers")
    names = [f"{op.index} {short(op.label)}" for op in report.operators]
    axes.set_yticks(list(rows), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("SQNR of the logits against float, dB")
    axes.set_title(f"{report.model}, residual int{report.residual_bits}, {report.images} images")
    axes.legend(fontsize=8)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    write_atomic(path, png.getvalue())


def _ceiling(value: float | None) -> float:
    return _CEILING_DB if value is None else min(value, _CEILING_DB)
