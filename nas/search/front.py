# SPDX-License-Identifier: Apache-2.0
"""Writes a Pareto front: CSV, JSON, PNG, and each network's architecture."""

from __future__ import annotations

import csv
import io
import os
import re
from typing import Any

from nas.png import png
from nas.search.study import Evaluated
from nas.space.any_space import Searchable
from nas.space.describe import describe
from tflm_vit.files import write_atomic, write_json

COLUMNS = (
    "trial", "accuracy", "latency_ms", "sram_bytes", "flash_bytes", "params", "macs", "network",
)  # fmt: skip


def rows_of(space: Searchable, found: list[Evaluated]) -> list[dict[str, Any]]:
    """One row per network."""
    return [
        {
            "trial": f.number,
            "accuracy": f.accuracy,
            "latency_ms": f.latency_ms,
            **{name: f.cost[name] for name in COLUMNS[3:7]},
            "network": describe(space, f.config),
        }
        for f in found
    ]


def write_front(
    directory: str, space: Searchable, front: list[Evaluated], every: list[Evaluated], title: str
) -> list[str]:
    """Writes front.csv, front.json, front.png and front_N.json (`ArchConfig`).

    Returns:
      The names, in that order.
    """
    rows = rows_of(space, front)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = [
        {**row, "config": f.config.to_dict(), "cost": f.cost}
        for row, f in zip(rows, front, strict=True)
    ]
    names = ["front.csv", "front.json", "front.png"]

    def path(name: str) -> str:
        return os.path.join(directory, name)

    _write_text(path("front.csv"), text.getvalue())
    write_json(path("front.json"), {"space": space.name, "front": data})
    _png(path("front.png"), front, every, title)
    _remove_networks(directory)  # of a longer front that an earlier run wrote
    for i, f in enumerate(front):
        names.append(f"front_{i}.json")
        space.arch(f.config).replace(name=f"{space.name}_{f.number}").save(path(names[-1]))
    return names


def _remove_networks(directory: str) -> None:
    for name in os.listdir(directory):
        if re.fullmatch(r"front_\d+\.json", name):
            os.unlink(os.path.join(directory, name))


def _write_text(path: str, text: str) -> None:
    write_atomic(path, text.encode())


def _png(path: str, front: list[Evaluated], every: list[Evaluated], title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    axes.scatter(
        [f.latency_ms for f in every], [100 * f.accuracy for f in every], s=10, color="0.7",
        label="evaluated",
    )  # fmt: skip
    axes.step(
        [f.latency_ms for f in front], [100 * f.accuracy for f in front], where="post",
        marker="o", color="C0", label="Pareto front",
    )  # fmt: skip
    axes.set_xlabel("latency, ms (estimate)")
    axes.set_ylabel("accuracy with the supernet's weights, %")
    axes.set_title(title)
    axes.legend()
    figure.tight_layout()
    write_atomic(path, png(figure, dpi=120))
