# SPDX-License-Identifier: Apache-2.0
"""Space evolution over several steps: measure, move, train the new space's supernet, measure again.

The new supernet starts from the weights of the one before (`nas.supernet.inherit`). Every part is a
folder that is complete or is made again, so that a killed evolution goes on where it stopped, and
one that ended goes on with more steps:

    step1/ supernet1/ step2/ supernet2/ step3/, with a control also control1/ control1_step/ ...,
    with a random one random1/ random1_step/ ...

A control is a supernet that is trained on from the same weights for as many epochs: that of the
*old* space tells what the space brought from what the longer training brought, that of a space
whose dimensions moved at random, as many of them by one step, whether the slopes tell where to go.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

from nas.png import png
from nas.space.any_space import Searchable, load_space
from nas.supernet.files import SPACE_FILE, TRAIN_FILE
from tflm_vit.files import write_atomic, write_json

STEPS_FILE = "steps.json"
PLOT_FILE = "steps.png"


@dataclasses.dataclass(frozen=True)
class Errors:
    """Of a space, with one supernet's weights; 0..1."""

    et_error: float
    mean_error: float
    top_error: float
    share_that_fits: float


@dataclasses.dataclass(frozen=True)
class StepRow:
    """One step.

    Attributes:
      before, after: spaces' dimensions, as text.
      error_before: of the old space with the supernet before the step.
      error_control: of the old space after as many more epochs; None without a control.
      error_after: of the new space.
      random: a space that moved at random instead, as text; "" without one.
      error_random: of that space after as many epochs.
    """

    before: str
    after: str
    error_before: Errors
    error_control: Errors | None
    error_after: Errors
    random: str = ""
    error_random: Errors | None = None


@dataclasses.dataclass(frozen=True)
class RoundWork:
    """What a step consists of; the first two write their folder, and are not called for a complete
    one.

    Attributes:
      step: (supernet, folder) -> errors, and the moved space; writes folder/space.json.
      train: (space, supernet to start from, folder).
      describe: a space in one line.
      at_random: (space, moved space, number of the step) -> a space with as many moves at random;
        None: no such control.
    """

    step: Callable[[str, str], tuple[Errors, Searchable]]
    train: Callable[[Searchable, str, str], object]
    describe: Callable[[Searchable], str]
    at_random: Callable[[Searchable, Searchable, int], Searchable] | None = None


def alternate(work: RoundWork, supernet: str, out: str, steps: int, control: bool) -> list[StepRow]:
    """Evolves a space; ends early where no dimension moves.

    Writes out/steps.json and out/steps.png after every step, and out/space.json, the last space.
    """
    rows: list[StepRow] = []

    def path(name: str) -> str:
        return os.path.join(out, name)

    def trained(space: Searchable, initial: str, name: str) -> str:
        if not os.path.exists(os.path.join(path(name), TRAIN_FILE)):
            work.train(space, initial, path(name))
        return path(name)

    def controlled(space: Searchable, name: str) -> Errors:
        return work.step(trained(space, current, name), path(f"{name}_step"))[0]

    current = supernet
    before, moved = work.step(current, path("step1"))
    for number in range(1, steps + 1):
        space = load_space(os.path.join(current, SPACE_FILE))
        if moved == space:
            break
        kept = controlled(space, f"control{number}") if control else None
        random, text = None, ""
        if work.at_random is not None:
            other = work.at_random(space, moved, number)
            random, text = controlled(other, f"random{number}"), work.describe(other)
        current = trained(moved, current, f"supernet{number}")
        after, following = work.step(current, path(f"step{number + 1}"))
        texts = work.describe(space), work.describe(moved)
        rows.append(StepRow(*texts, before, kept, after, text, random))
        write_json(path(STEPS_FILE), {"steps": [dataclasses.asdict(r) for r in rows]})
        write_atomic(path(PLOT_FILE), _plot(rows))
        before, moved = after, following
    load_space(os.path.join(current, SPACE_FILE)).save(path(SPACE_FILE))
    return rows


def _plot(rows: list[StepRow]) -> bytes:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(1.5 * len(rows) + 3, 3.2))
    every = [rows[0].error_before, *[r.error_after for r in rows]]
    for name, style in (("et_error", "ko-"), ("mean_error", "C0.--"), ("top_error", "C1.--")):
        values = [100 * getattr(e, name) for e in every]
        axes.plot(range(len(every)), values, style, label=name.replace("_", " "))
    for name, style, label in (
        ("error_control", "rx", "old space trained on"),
        ("error_random", "C2+", "moved at random"),
    ):
        kept = [(i, getattr(r, name)) for i, r in enumerate(rows, 1) if getattr(r, name)]
        if kept:
            points = [(i, 100 * e.et_error) for i, e in kept]
            axes.plot(*zip(*points, strict=True), style, label=f"E-T error, {label}")
    axes.set_xticks(range(len(every)))
    axes.set_xlabel("steps of the space")
    axes.set_ylabel("error, %")
    axes.legend(fontsize=7)
    figure.tight_layout()
    return png(figure)
