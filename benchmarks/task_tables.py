# SPDX-License-Identifier: Apache-2.0
"""Tables of docs/tasks.md from the record of `benchmarks.tasks`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from benchmarks.marked_sections import filled
from benchmarks.task_trainings import all_trainings
from keras_models.questions.asking import KINDS
from keras_models.tasks import TASKS

_FIGURES = {
    "detection": (("ap50", "AP50", "{:.3f}"), ("ap50_any", "any class", "{:.3f}")),
    "depth": (("abs_rel", "AbsRel", "{:.3f}"), ("delta", "< 1.25", "{:.3f}")),
    **dict.fromkeys(("keywords", "language", "topic"), (("top1", "top-1", "{:.3f}"),)),
    "question": (
        ("right", "right", "{:.3f}"),
        ("alone", "of one thing", "{:.3f}"),
        ("relational", "of several", "{:.3f}"),
    ),
    "segmentation": (("miou", "mIoU", "{:.3f}"), ("pixels", "pixels", "{:.3f}")),
}
_ROWS = ("float", "plain int8", "fused int8")


def _cells(found: dict[str, Any], figures: dict[str, Any]) -> str:
    return ", ".join(text.format(figures[key]) for key, _, text in _FIGURES[found["task"]])


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{max(1, round(seconds / 60))} min"


def _trained(training: dict[str, Any]) -> str:
    """Epochs and time; of several trainings the last one's epochs, and the time of all."""
    every = all_trainings(training)
    epochs = f"{training['epochs']} epochs of {training['images']['train']:,}"
    took = _duration(sum(each["seconds"] for each in every))
    if len(every) > 1:
        took = f"the last of {len(every)} trainings, {took} in all"
    return f"{epochs}, {took}"


def _ordered(record: dict[str, Any]) -> dict[str, Any]:
    """Networks of one task together, as the tasks are declared."""
    order = list(TASKS)
    return dict(sorted(record["networks"].items(), key=lambda n: order.index(n[1]["task"])))


def table(record: dict[str, Any]) -> str:
    """The section of docs/tasks.md."""
    head = "| network | figures | float | plain int8 | fused int8, all runtimes | instructions | "
    lines = [f"{head}SRAM | flash | trained |", f"|---|---|{'---:|' * 7}"]
    networks = _ordered(record)
    for name, found in networks.items():
        figures = ", ".join(label for _, label, _ in _FIGURES[found["task"]])
        values = " | ".join(_cells(found, found["figures"][row]) for row in _ROWS)
        board, training = found["board"], found["training"]
        lines.append(
            f"| `{name}` | {figures} | {values} | {board['instructions']:,} | "
            f"{board['sram_bytes']:,} | {board['flash_bytes']:,} | {_trained(training)} |"
        )
    for name, found in record.get("untrained", {}).items():
        board = found["board"]
        lines.append(
            f"| `{name}`, random weights | - | | | | {board['instructions']:,} | "
            f"{board['sram_bytes']:,} | {board['flash_bytes']:,} | no |"
        )
    for name, found in networks.items():
        for other, scores in found.get("others", {}).items():
            figures = ", ".join(label for _, label, _ in _FIGURES[found["task"]])
            what = f"`{name}` on {other}, {scores['images']}"
            lines.append(f"| {what} | {figures} | | | {_cells(found, scores)} |" + " |" * 4)
    lines += dict.fromkeys(_without_networks(networks))  # networks of the same data have the same
    for data, found in _of_each_data_set(networks).items():
        task = found["task"]
        figures = ", ".join(label for _, label, _ in _FIGURES[task])
        what = task if data == TASKS[task].datasets[0] else f"{task}, {data}"
        lines.append(
            f"| constant, {what} | {figures} | {_cells(found, found['figures']['constant'])} |"
            + " |" * 6
        )
    return "\n".join(lines)


def _of_each_data_set(networks: dict[str, Any]) -> dict[str, Any]:
    """The first network of each data set, by its name: what its training's command says, or the
    first of the task."""
    found: dict[str, Any] = {}
    for network in networks.values():
        named = re.search(r"--dataset=(\S+)", network["training"]["command"])
        found.setdefault(named[1] if named else TASKS[network["task"]].datasets[0], network)
    return found


def _without_networks(networks: dict[str, Any]) -> Iterator[str]:
    """Rows of what needs no network."""
    for found in networks.values():
        for row, what in (("n-grams", "n-grams, logistic"), ("question alone", "without picture")):
            if row in found["figures"]:
                figures = ", ".join(label for _, label, _ in _FIGURES[found["task"]])
                cells = _cells(found, found["figures"][row])
                name = f"{what}, {found['task']}, {found['training']['images']['train']:,}"
                yield f"| {name} | {figures} | {cells} |" + " |" * 6


def commands_list(record: dict[str, Any]) -> str:
    """How each network was trained, for a shell."""
    commands = (
        training["command"]
        for found in _ordered(record).values()
        for training in all_trainings(found["training"])
    )
    return "\n".join(["```sh", *commands, "```"])


def near_table(record: dict[str, Any]) -> str:
    """How many test texts the training split has, and what is right of those that it has not."""
    lines = [
        "| network | test texts | equal | near, too | right | right of the others |",
        f"|---|{'---:|' * 5}",
    ]
    for name, found in record["networks"].items():
        near = found.get("near")
        if near is not None:
            others = near["texts"] - near["near"]
            right = found["figures"]["fused int8"]["top1"]
            lines.append(
                f"| `{name}` | {near['texts']:,} | {near['equal']:,} | {near['near']:,} | "
                f"{right:.3f} | {near['right_of_others'] / max(1, others):.3f} |"
            )
    return "\n".join(lines)


def boxes_table(record: dict[str, Any]) -> str:
    """What one box for each token costs."""
    lines = [
        "| test split of | pictures | things | without a token | best AP50 |",
        f"|---|{'---:|' * 4}",
    ]
    for data, found in _of_each_data_set(_ordered(record)).items():
        if "boxes" in found:
            boxes = found["boxes"]
            share = boxes["without_token"] / boxes["things"]
            lines.append(
                f"| `{data}` | {boxes['pictures']:,} | {boxes['things']:,} | "
                f"{boxes['without_token']:,} ({100 * share:.1f} %) | {boxes['best_ap50']:.3f} |"
            )
    return "\n".join(lines)


def kinds_table(record: dict[str, Any]) -> str:
    """Shares of right answers to each kind of question."""
    head = "| | " + " | ".join(kind.text.format("...") for kind in KINDS) + " |"
    lines = [head, f"|---|{'---:|' * len(KINDS)}"]
    asked = {n: f["figures"] for n, f in record["networks"].items() if f["task"] == "question"}
    rows = [(f"`{name}`, fused int8", figures["fused int8"]) for name, figures in asked.items()]
    for row, what in (("question alone", "without picture"), ("constant", "constant")):
        rows += [(what, figures[row]) for figures in list(asked.values())[:1]]
    for what, scores in rows:
        found = {score["kind"]: f"{score['right']:.3f}" for score in scores["kinds"]}
        cells = " | ".join(found.get(kind.name, "") for kind in KINDS)
        lines.append(f"| {what} | {cells} |")
    return "\n".join(lines)


def rendered(page: str, record: dict[str, Any]) -> str:
    """The page with the tables that the record gives."""
    sections = {
        "tasks": lambda: table(record),
        "commands": lambda: commands_list(record),
        "questions": lambda: kinds_table(record),
        "texts": lambda: near_table(record),
        "boxes": lambda: boxes_table(record),
    }
    return filled(page, sections, "docs/tasks.md")
