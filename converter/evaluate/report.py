# SPDX-License-Identifier: Apache-2.0
"""The evaluation as a table and as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from converter.evaluate.evaluation import RuntimeComparison, RuntimeResult
from keras_models.tasks import TaskScores
from keras_models.tasks.scores import percent
from tflm_vit.files import json_text


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """An evaluation: what was run and what came out."""

    model: str
    dataset: str
    split: str
    float_scores: TaskScores | None
    results: tuple[RuntimeResult, ...]
    comparisons: tuple[RuntimeComparison, ...]


def _result(result: RuntimeResult) -> dict[str, Any]:
    return {
        **result.scores.tree(),
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
        "float_agreement": result.float_agreement,
        "float_sqnr_db": result.float_sqnr_db,
    }


def to_json(report: Report) -> str:
    """JSON text; fractions are 0..1, an infinite ratio is null."""
    content = {
        "model": report.model,
        "dataset": report.dataset,
        "split": report.split,
        "float": None if report.float_scores is None else report.float_scores.tree(),
        "runtimes": {r.name: _result(r) for r in report.results},
        "comparisons": [dataclasses.asdict(c) for c in report.comparisons],
    }
    return json_text(content)


def _row(name: str, scores: TaskScores, rest: tuple[str, str, str]) -> str:
    figures = " ".join(f"{cell.text:>{cell.width}}" for cell in scores.cells)
    return f"{name:9} {scores.images:7} {figures} {rest[0]:>9} {rest[1]:>8} {rest[2]:>9}"


def _head(scores: TaskScores) -> str:
    figures = " ".join(f"{cell.heading:>{cell.width}}" for cell in scores.cells)
    line = f"{'runtime':9} {'images':>7} {figures}"
    return f"{line} {'= float %':>9} {'SQNR dB':>8} {'images/s':>9}"


def to_text(report: Report) -> str:
    """A short table."""
    lines = [_head(report.results[0].scores)]
    if report.float_scores is not None:
        lines.append(_row("float", report.float_scores, ("", "", "")))
    for r in report.results:
        sqnr = "-" if r.float_sqnr_db is None else f"{r.float_sqnr_db:.1f}"
        rest = (percent(r.float_agreement), sqnr, f"{r.images_per_second:.1f}")
        lines.append(_row(r.name, r.scores, rest))
    for c in report.comparisons:
        lines.append(
            f"{c.first} = {c.second}: {c.logits_different} logits differ in "
            f"{c.images_different} of {c.images} images (by at most {c.max_difference})"
        )
    return "\n".join(lines)
