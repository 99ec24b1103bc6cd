# SPDX-License-Identifier: Apache-2.0
"""Tables of docs/tasks.md from the record of `benchmarks.scenes`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_models.tasks import TASKS

_FIGURES = {"depth": ("abs_rel", "delta"), "segmentation": ("miou", "pixels")}
_LABELS = {"depth": "AbsRel, < 1.25", "segmentation": "mIoU, pixels"}


def _cell(task: str, scores: dict[str, Any]) -> str:
    return ", ".join(f"{scores[key]:.3f}" for key in _FIGURES[task])


def _steps(training: dict[str, Any]) -> str:
    return f"{training['epochs']} epochs of {training['images']['train']:,}"


def _ordered(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Networks of one task together, as the tasks are declared."""
    order = list(TASKS)
    return sorted(record["networks"].items(), key=lambda n: order.index(n[1]["task"]))


def scenes_table(record: dict[str, Any]) -> str:
    """Every network on every kind of scenes."""
    guesses = record["without picture"]
    kinds = list(dict.fromkeys(kind for found in guesses.values() for kind in found))
    heads = [f"{kind}, {form}" for kind in kinds for form in ("float", "fused int8")]
    lines = [
        f"| network | trained on | figures | {' | '.join(heads)} |",
        f"|---|---|---|{'---:|' * len(heads)}",
    ]
    for name, found in _ordered(record):
        task, scenes = found["task"], found["scenes"]
        cells = [
            _cell(task, scenes[kind][form]) for kind in kinds for form in ("float", "fused int8")
        ]
        trained = f"{found['trained_on']}, {_steps(found['training'])}"
        lines.append(f"| `{name}` | {trained} | {_LABELS[task]} | {' | '.join(cells)} |")
    for task in sorted(guesses, key=list(TASKS).index):
        for guess in ("constant", "place"):
            known = " | ".join(f"{_cell(task, guesses[task][kind][guess])} |" for kind in kinds)
            lines.append(f"| {guess}, {task} | | {_LABELS[task]} | {known} |")
    return "\n".join(lines)


def photograph_table(record: dict[str, Any]) -> str:
    """What networks of depth, and guesses, say of the photograph."""
    lines = [
        "| AbsRel, < 1.25 | as said | times the lenses' ratio | medians equal | factor | rank |",
        f"|---|{'---:|' * 5}",
    ]
    said = [(f"`{n}`", f["photograph"]) for n, f in _ordered(record) if "photograph" in f]
    for what, scores in (*said, *record["photograph"]["guesses"].items()):
        cells = (f"{scores[k]['abs_rel']:.3f}, {scores[k]['delta']:.3f}" for k in _WAYS)
        rank = "-" if scores["rank"] is None else f"{scores['rank']:.3f}"
        lines.append(f"| {what} | {' | '.join(cells)} | {scores['factor']:.2f} | {rank} |")
    return "\n".join(lines)


_WAYS = ("raw", "through_lens", "aligned")


def commands_of(record: dict[str, Any]) -> Iterator[str]:
    """How those trained further were trained."""
    for _, found in _ordered(record):
        if "--initial" in found["training"]["command"]:
            yield found["training"]["command"]


def commands_list(record: dict[str, Any]) -> str:
    return "\n".join(["```sh", *commands_of(record), "```"])


SECTIONS = {
    "scenes": scenes_table,
    "scene_commands": commands_list,
    "photograph": photograph_table,
}
