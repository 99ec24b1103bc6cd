# SPDX-License-Identifier: Apache-2.0
"""Networks of depth and segmentation on plain scenes, on textured ones and on a photograph.

    python -m benchmarks.scenes --trained=build/depth,build/segmentation --data_dir=build/plain \\
        --test_dirs=build/plain,build/textured --photograph=motorcycle

Adds to the record, or replaces in it, the networks that are named, and writes a table of
docs/tasks.md. --data_dir is what they were trained on: calibration pictures come from there.
--test_dirs are known by their names; beside the networks stand the best answers without the
picture, one for all pixels (constant) and one for each (place), from the training split of the
same folder. --photograph is a stereo pair with its disparity: see `benchmarks.photograph`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.marked_sections import filled
from benchmarks.photograph import PhotographView, focal_length, photograph, photograph_scores
from benchmarks.scene_tables import SECTIONS
from benchmarks.task_forms import (
    by_place,
    constant,
    evaluated,
    float_outputs,
    fused_forms,
    tree_of,
)
from benchmarks.task_trainings import training_of
from benchmarks.versions import versions_of
from converter.contract import contract_of
from converter.evaluate.evaluation import ContractImages, compare, ends_of
from keras_models.datasets import Dataset, Split, load_dataset
from keras_models.datasets.core import ArraySource
from keras_models.load import TRAIN_FILE, resolve_model
from keras_models.scenes.world import LENS_DEGREES, SIDE
from keras_models.tasks import TASKS, Task
from keras_models.tasks.depth import DEPTH, metres
from tflm_vit import flags
from tflm_vit.files import FileError, expect_writable, read_json, write_atomic, write_json
from tflm_vit.run import run, typed_command
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("scenes", __doc__)
flags.trained(FLAGS)
flags.before(FLAGS)
flags.data_dir(FLAGS)
FLAGS.words("test_dirs", [], "Folders of data sets to score on, by their names.")
FLAGS.string("photograph", "", "Of networks of depth: motorcycle, or a folder; empty: none.")
flags.seed(FLAGS, "Of the choice of calibration pictures.")
flags.count(FLAGS, "Test pictures, the first so many; 0: all.")
FLAGS.integer("equal_count", 16, "Of them in TFLM, too, whose values are compared.", 1)
flags.json(FLAGS)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tasks.md"
RECORD = ROOT / "docs" / "results" / "scenes.json"


def _named(folder: str) -> str:
    return os.path.basename(os.path.normpath(folder))


def _loaded(folder: str, task: Task) -> Dataset:
    return load_dataset(task.datasets[0], folder, image_size=SIDE, channels=3)


def _part(split: Split) -> Split:
    return split.take(FLAGS.count) if FLAGS.count else split


# ---- scenes --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Files:
    """A network: its Keras model and description, and the fused file of it."""

    task: Task
    arch: Any
    model: Any
    fused: bytes


def _network(folder: str) -> Files:
    """A trained folder's network."""
    record = read_json(os.path.join(folder, TRAIN_FILE), "a record of a training", FileError)
    task = TASKS[record["task"]]
    with captured_stderr():
        arch, model = resolve_model(folder)
    data = _loaded(FLAGS.data_dir, task)
    return Files(task, arch, model, fused_forms(model, arch, data, task, FLAGS.seed)[1])


def _on_scenes(files: Files) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each test folder the figures of the float network and of the fused file."""
    for folder in FLAGS.test_dirs:
        split = _part(_loaded(folder, files.task).test)
        images = ContractImages(split, contract_of(files.fused))
        real = float_outputs(files.model, files.arch, images)
        results = [
            evaluated(name, files.fused, part, files.task)
            for name, part in (("host", split), ("tflm", split.take(FLAGS.equal_count)))
        ]
        yield (
            _named(folder),
            {
                "float": tree_of(files.task.scores(real, split.labels())),
                "fused int8": tree_of(results[0].scores),
                "equal": [dataclasses.asdict(pair) for pair in compare(results)],
            },
        )


def _without_pictures(task: Task, shape: tuple[int, ...]) -> dict[str, Any]:
    """Of each test folder the best answers without the picture, from its own training split."""
    found = {}
    for folder in FLAGS.test_dirs:
        data = _loaded(folder, task)
        split = _part(data.test)
        found[_named(folder)] = {
            name: tree_of(task.scores(_repeated(best(task, data.train, shape), len(split)),
                                      split.labels()))
            for name, best in (("constant", constant), ("place", by_place))
        }  # fmt: skip
    return found


def _repeated(value: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    return np.broadcast_to(value, (count, *value.shape))


# ---- the photograph ------------------------------------------------------------------------------


def _view() -> tuple[PhotographView, float, dict[str, Any]]:
    """What networks see of the photograph, its lens over theirs, and what it is."""
    picture = photograph(FLAGS.photograph)
    view = picture.square(SIDE)
    trained = focal_length(SIDE, LENS_DEGREES)
    lens = view.focal_px / trained
    known = view.depth[np.isfinite(view.depth)]
    return view, lens, {
        "name": picture.name,
        "source": picture.source,
        "calibration": {
            "focal_px": picture.focal_px,
            "middle_px": picture.middle_px,
            "offset_px": picture.offset_px,
            "baseline_m": picture.baseline_m,
        },
        "focal_px": view.focal_px,
        "trained_focal_px": trained,
        "lens": lens,
        "pixels_known": len(known) / view.depth.size,
        "nearest_m": float(known.min()),
        "farthest_m": float(known.max()),
        "median_m": float(np.median(known)),
    }  # fmt: skip


def _said_of(view: PhotographView, files: Files) -> NDArray[np.float64]:
    """Metres (side, side) that the fused file says."""
    source = ArraySource(view.color[None], np.ones((1, SIDE, SIDE), np.float16))
    split = Split("test", source, np.arange(1))
    ends = ends_of(files.fused)
    logits = evaluated("host", files.fused, split, files.task).logits
    found: NDArray[np.float64] = metres(ends.shaped(ends.dequantize(logits), files.task))[0]
    return found


def _guesses_of(
    view: PhotographView, lens: float, shape: tuple[int, ...]
) -> Iterator[tuple[str, Any]]:
    """What the best answers without the picture, of each kind of scenes, are worth there."""
    for folder in FLAGS.test_dirs:
        train = _loaded(folder, DEPTH).train
        for name, best in (("constant", constant), ("place", by_place)):
            depth = metres(best(DEPTH, train, shape)[None])[0]
            scores = photograph_scores(depth, view.depth, lens)
            yield f"{name}, {_named(folder)}", dataclasses.asdict(scores)


# ---- command line --------------------------------------------------------------------------------


def _measured(folder: str, record: dict[str, Any]) -> None:
    training = training_of(folder, FLAGS.before)  # before the work: it may be refused
    files = _network(folder)
    shape, task = ends_of(files.fused).output_shape, files.task
    found = {
        "task": task.name,
        "trained_on": _named(FLAGS.data_dir),
        "command": typed_command("benchmarks.scenes"),
        "calibration_seed": FLAGS.seed,
        "training": training,
        "scenes": dict(_on_scenes(files)),
        "versions": versions_of("tensorflow", "keras", "numpy"),
    }
    record.setdefault("without picture", {})[task.name] = _without_pictures(task, shape)
    if FLAGS.photograph and task is DEPTH:
        view, lens, about = _view()
        scores = photograph_scores(_said_of(view, files), view.depth, lens)
        found["photograph"] = dataclasses.asdict(scores)
        record["photograph"] = {**about, "guesses": dict(_guesses_of(view, lens, shape))}
    record["networks"][_named(folder)] = found


def _body() -> None:
    path = FLAGS.json or str(RECORD)
    expect_writable(path)
    record: dict[str, Any] = {"networks": {}}
    if os.path.exists(path):
        record = read_json(path, "a record of scenes", FileError)
    if FLAGS.photograph:
        photograph(FLAGS.photograph)  # before the work: it may not be there
    for folder in FLAGS.trained:
        _measured(folder, record)
        write_json(path, record)
    for section in SECTIONS.values():
        print(section(record))
    if os.path.realpath(path) == str(RECORD):
        write_atomic(PAGE, rendered(PAGE.read_text(encoding="utf-8"), record).encode())


def rendered(page: str, record: dict[str, Any]) -> str:
    """The page with the tables that the record gives."""
    sections = {name: lambda s=section: s(record) for name, section in SECTIONS.items()}
    return filled(page, sections, "docs/tasks.md")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
