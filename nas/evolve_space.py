# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.evolve_space --supernet=DIR --out=OUT`: evolution of a space.

--algorithm=s3: evaluates random sub-networks that fit the budget with the supernet's weights, fits
the tendency of the E-T error for each dimension (per stage: the heads, MLP and rank ratio of each
third of the blocks are fitted apart, their mean moves the dimension), and moves each dimension
against it (`nas.evolution.s3`). Writes OUT/space.json, the space to train the next supernet on,
OUT/evolution.json with the space before and after, errors and slopes, and OUT/evolution.png. With
--epochs=E it goes on: trains the supernet of the new space for E epochs from the old one's weights,
measures again, and so for --steps=N steps (`nas.evolution.rounds`).

--algorithm=mcuformer: walks over pairs of rank ratio and patch size (`nas.evolution.mcuformer`).

Accuracies and folders are kept as they are found: a killed evolution goes on with --resume.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from keras_models.datasets import load_dataset
from keras_models.training.distillation import Objective
from nas import command as shared
from nas.cost.sampler import Sampler
from nas.evolution.mcuformer import Measure, draw_walk, grid_of, objective, walk
from nas.evolution.mcuformer import record as record_walk
from nas.evolution.result_cache import MEASURED_FILE, Remembered, claimed, supernet_mark
from nas.evolution.rounds import Errors, RoundWork, alternate
from nas.evolution.space_step import (
    describe_space,
    draw_step,
    evolve_once,
    list_of,
    measure,
    moved_at_random,
    record,
)
from nas.space.any_space import AnySubnet, Searchable, expect_one_stage, load_space
from nas.supernet.data import SearchData, preloaded
from nas.supernet.evaluator import IMAGES_SEED, Evaluator, SupernetSource
from nas.supernet.files import SPACE_FILE
from nas.supernet.training import SupernetJob, train
from tflm_vit import flags
from tflm_vit.files import expect_writable, read_json, reading, write_json
from tflm_vit.records import checked
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("evolve_space", __doc__)
shared.supernet(FLAGS)
shared.algorithm(FLAGS, ("s3", "mcuformer"), "Which dimensions move, and how.")
shared.search_data_flags(FLAGS)
flags.out(FLAGS, "Folder for the results.")
flags.samples(FLAGS, 200, "Random sub-networks to evaluate.", 2)
FLAGS.integer("top", 50, "Of --samples, how many are the top ones.", 1)
flags.count(FLAGS, "Number of images of the search split; 0: all.")
FLAGS.integer("points", 5, "Of --algorithm=mcuformer: random pairs to begin with.", 3)
FLAGS.integer("steps", None, "Steps; without it 1 of s3, at most 10 of mcuformer.", 1)
flags.epochs(FLAGS, "Of --algorithm=s3: train the new space's supernet for so many.")
FLAGS.boolean("control", False, "With --epochs: also train the old space on.")
FLAGS.boolean("random_control", False, "With --epochs: also train a space that moved at random.")
flags.seed(FLAGS, "Of the random sub-networks.")
flags.resume(FLAGS, "Go on with what is in --out.")
flags.json(FLAGS)
shared.define_training_flags(FLAGS)
shared.define_target_flags(FLAGS)


def _source(supernet: str) -> SupernetSource:
    return SupernetSource(
        supernet, FLAGS.dataset, FLAGS.data_dir, FLAGS.search_fraction, FLAGS.count
    )


@functools.lru_cache(maxsize=1)
def _read(image_size: int, channels: int) -> SearchData:
    """The data set of the flags: read once, for a space that moves keeps the size of its images."""
    data = load_dataset(FLAGS.dataset, FLAGS.data_dir, image_size=image_size, channels=channels)
    return preloaded(data, FLAGS.search_fraction)


def _data(space: Searchable) -> SearchData:
    return _read(space.image_size, space.channels)


def _accuracy(supernet: str, space: Searchable, folder: str) -> Callable[[AnySubnet], float]:
    """Measures sub-networks; the folder keeps what was found."""
    evaluator = Evaluator(_source(supernet), space, FLAGS.allow_other_data, _data(space))
    return Remembered(os.path.join(folder, MEASURED_FILE), evaluator)


def _setup() -> dict[str, Any]:
    """What must not change between a kill and --resume."""
    names = ["algorithm", "dataset", "search_fraction", "top", "seed", "points"]
    setup = {name: FLAGS[name].value for name in names}
    setup["networks"] = FLAGS.samples
    setup["model"] = shared.cost_model(FLAGS).to_dict()
    setup["supernet"] = supernet_mark(FLAGS.supernet)
    if FLAGS.count:
        setup["images"], setup["images_seed"] = FLAGS.count, IMAGES_SEED
    if FLAGS.epochs is not None:
        setup["recipe"] = shared.recipe_of_flags(FLAGS).tree()
        setup["sampling"], setup["distill"] = FLAGS.sampling, FLAGS.distill
    return setup


def _step(supernet: str, folder: str) -> tuple[Errors, Searchable]:
    """Measures a supernet and moves its space; writes the folder, or reads one that is complete."""
    record_file, space_file = (os.path.join(folder, n) for n in ("evolution.json", SPACE_FILE))
    if os.path.exists(record_file) and os.path.exists(space_file):
        with reading(record_file, "a record of nas.evolve_space"):
            data = read_json(record_file)
            errors = checked(Errors(*(data[f.name] for f in dataclasses.fields(Errors))))
        return errors, load_space(space_file)
    os.makedirs(folder, exist_ok=True)
    space = load_space(os.path.join(supernet, SPACE_FILE))
    sampler = Sampler(space, shared.cost_model(FLAGS), FLAGS.seed)
    census = sampler.census
    accuracy = _accuracy(supernet, space, folder)
    with tqdm(total=FLAGS.samples, unit="network") as bar:
        measured = measure(sampler, accuracy, FLAGS.samples, lambda: bar.update(1))
    evolved = evolve_once(space, measured, FLAGS.top)
    share = census.fit_both / census.total
    draw_step(os.path.join(folder, "evolution.png"), evolved, measured, FLAGS.top)
    evolved.after.save(space_file)
    write_json(record_file, record(evolved, measured, share))
    print(f"E-T error {100 * evolved.et_error:.2f} %, {100 * share:.2f} % of the networks fit")
    for change in evolved.dimensions:
        slopes = ", ".join(f"{s:+.3g}" for s in change.slopes)
        choices = f"{list_of(change.before)} -> {list_of(change.after)}"
        print(f"{change.name:<11} {choices}  (slopes {slopes})")
    errors = Errors(evolved.et_error, evolved.mean_error, evolved.top_error, share)
    return errors, evolved.after


def _train(space: Searchable, initial: str, folder: str) -> None:
    """Trains the supernet of a space from another one's weights."""
    os.makedirs(folder, exist_ok=True)
    recipe = shared.recipe_of_flags(FLAGS)
    sampling = shared.Sampling(FLAGS.sampling)
    job = SupernetJob(
        space,
        shared.cost_model(FLAGS),
        recipe,
        Objective(recipe.label_smoothing, FLAGS.distill),
        sampling.sandwich,
        FLAGS.seed,
        folder,
        initial,
        checkpoint_every=FLAGS.checkpoint_every,
        levels=sampling.levels,
    )
    data = _data(space)
    print(f"training the supernet of {describe_space(space)}")
    train(job, data, _command(), resume=True)


def _command() -> str:
    return typed_command("nas.evolve_space")


def _at_random(space: Searchable, moved: Searchable, step: int) -> Searchable:
    return moved_at_random(space, moved, FLAGS.seed + step)


def _alternate() -> dict[str, Any]:
    work = RoundWork(_step, _train, describe_space, _at_random if FLAGS.random_control else None)
    rows = alternate(work, FLAGS.supernet, FLAGS.out, FLAGS.steps or 1, FLAGS.control)
    if not rows:
        print("no dimension moves: nothing was trained")
    for number, row in enumerate(rows, 1):
        kept = row.error_control
        beside = f", {100 * kept.et_error:.2f} % old space trained on" if kept else ""
        if row.error_random:
            beside += f", {100 * row.error_random.et_error:.2f} % moved at random"
        print(
            f"step {number}: E-T error {100 * row.error_before.et_error:.2f} % -> "
            f"{100 * row.error_after.et_error:.2f} %{beside}"
        )
        print(f"  {row.before}\n  {row.after}")
    return {"command": _command(), "steps": [dataclasses.asdict(row) for row in rows]}


def _walk() -> dict[str, Any]:
    """MCUFormer's variant."""
    space = expect_one_stage(
        load_space(os.path.join(FLAGS.supernet, SPACE_FILE)), "--algorithm=mcuformer"
    )
    grid_of(space)
    sampler = Sampler(space, shared.cost_model(FLAGS), FLAGS.seed)
    sampler.census  # noqa: B018  an impossible budget is refused at once
    accuracy = _accuracy(FLAGS.supernet, space, FLAGS.out)
    measured = Measure(sampler, accuracy, FLAGS.samples, FLAGS.top)
    steps = 10 if FLAGS.steps is None else FLAGS.steps
    with tqdm(total=FLAGS.points + steps, unit="pair") as bar:
        found = walk(measured, FLAGS.points, steps, lambda: bar.update(1))
    data = {"command": _command(), **record_walk(found)}
    draw_walk(os.path.join(FLAGS.out, "evolution.png"), found)
    found.after.save(os.path.join(FLAGS.out, SPACE_FILE))
    write_json(os.path.join(FLAGS.out, "evolution.json"), data)
    print(
        f"{'':>6}{'rank ratio':>11}{'patch':>7}{'E-T error':>11}{'fit SRAM':>10}{'objective':>11}"
    )
    for i, p in enumerate(found.points):
        name = "random" if i < found.random else "step"
        mark = "  best" if p == found.best else ""
        print(
            f"{name:>6}{p.ratio:>11g}{p.patch:>7g}{100 * p.error:>10.2f}%{100 * p.legal:>9.2f}%"
            f"{objective(p):>11.4f}{mark}"
        )
    return data


def _body() -> None:
    _read.cache_clear()  # of another call in this process
    if not 1 <= FLAGS.top <= FLAGS.samples:
        raise ValueError(f"--top={FLAGS.top}: expected 1 to --samples={FLAGS.samples}")
    if FLAGS.epochs is None and FLAGS.algorithm == "s3" and (FLAGS.steps or 1) > 1:
        raise ValueError(
            f"--steps={FLAGS.steps}: expected --epochs, for the supernets of the steps"
        )
    if FLAGS.epochs is not None and FLAGS.algorithm == "mcuformer":
        raise ValueError("--epochs: expected --algorithm=s3; mcuformer's trains no supernet")
    shared.expect_share(FLAGS)
    for control in ("control", "random_control"):
        if FLAGS[control].value and FLAGS.epochs is None:
            raise ValueError(f"--{control}: expected --epochs, for which its supernet is trained")
    expect_writable(FLAGS.json)
    with claimed(FLAGS.out, _setup(), FLAGS.resume):
        if FLAGS.algorithm == "mcuformer":
            data = _walk()
        elif FLAGS.epochs is not None:
            data = _alternate()
        else:
            _step(FLAGS.supernet, FLAGS.out)
            data = read_json(os.path.join(FLAGS.out, "evolution.json"))
    if FLAGS.json:
        write_json(FLAGS.json, data)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
