# SPDX-License-Identifier: Apache-2.0
"""Does a search find a better network than as many random ones, and than one made by hand?

    python -m benchmarks.searched_or_random --supernet=DIR --dataset=cifar10 --work=DIR \\
        --epochs=2 --candidates=2 --out=docs/results/searched_optional.json

The supernet is one of `benchmarks/spaces/hybrid_24_optional.json`, for pictures of 24 pixels, which
cost half of those of 32: residual convolutions, separable ones or none, residual ones, attention,
merged tokens with attention or none; every width, depth, head count and MLP ratio by itself. The
hand-made network is `hybrid_32` with all widths divided by about 2.5, as one does for a smaller
budget; **its own SRAM, flash and latency are the limits of all**, and it is one of the space's
networks.

- Evolution (AutoFormer's, `nas.search.autoformer`) evaluates --trials networks,
- as many random ones within the limits are evaluated,

each on the same --count search images with the same supernet's weights. Of either --candidates are
trained alone for --candidate_epochs with a seed of their own: the most accurate, and the largest of
those within one standard error of it. The one that is best on validation images is its party's. It
is trained alone from random weights with each seed, as
is the hand-made one: the same images in the same order, the same recipe. Test images are read once,
by what was trained so. The search and the draw are one each, with the first seed, unless
--each_seed makes them for every one.

A first study was of `benchmarks/spaces/hybrid_24.json`, in which every network has the separable
stage and the merged one (docs/results/searched_or_random.json): better than random in each
seed, worse than by hand in each, and no network of that space had as many multiply-accumulates as
the hand-made one. Its inherited accuracies were 1.0 point apart (one standard deviation) over 3,000
images, which err by almost as much.

So here the two stages may be left out, with a depth of 0. What should make inherited accuracies
rank, decided beforehand: the supernet is trained within 1.1 times the limits and not within 1.25;
widths lie around the hand-made ones and none is in it that the SRAM forbids; 4,000 search images;
the last choice is by short trainings, not by the supernet. Decided when 60 random networks had been
evaluated, 0.9 points apart, and none trained: that choice is among networks which the supernet
cannot tell apart, the largest first; the first study's left a fifth of their time unused.
Changed for want of time after some 210, before any training: two candidates, where there were to be
three or four, and no second stage of ten epochs for the supernet.

What can be told: two trainings of one network may differ by some 0.5 points (seeds and 10,000 test
images together; a guess), so that all three seeds agree by chance in one case of eight where
nothing is better, and a true gain of 1 point shows in all three in about eight of ten.

Predicted while the supernet was trained, before anything was evaluated: inherited accuracies of
random networks are 1.5 points apart or more; they follow multiply-accumulates with +0.5 or more;
the searched network merges no tokens, has one block of attention or two where the hand-made has
three, and more residual ones; it is better than the hand-made by 1 to 3 points (in each seed with
two chances of three) and better than the random one by 1 (in each seed with one chance of two).

The processor hours are printed before it starts. What is complete in --work is not made again, a
training goes on from its last epoch.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.hand_made import HAND_MADE, HAND_TEXT, hand_choice_of, limits
from benchmarks.party_gains import HAND, PARTIES, SEARCHED, forecast, gains
from benchmarks.space_evolution import without_folders
from benchmarks.trained_alone import Scored, TrainedAlone, candidates
from benchmarks.versions import SEARCH_PACKAGES, versions_of
from keras_models.datasets import load_dataset
from keras_models.staged import StagedConfig
from keras_models.tasks import CLASSIFICATION
from keras_models.training.recipe import HYBRID, Recipe
from nas import command as shared
from nas.cost.model import CostModel, NetworkCost
from nas.cost.sampler import Sampler
from nas.evolution.result_cache import Remembered, claim, supernet_mark
from nas.search.autoformer import EvolutionSettings, Score, evolve
from nas.space.any_space import AnySubnet, Searchable, load_space, parse_any_subnet
from nas.space.describe import describe
from nas.supernet.evaluator import Evaluator, SupernetSource
from nas.supernet.files import SPACE_FILE, TRAIN_FILE
from tflm_vit import flags
from tflm_vit.files import read_json, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("searched_or_random", __doc__)
shared.supernet(FLAGS)
flags.dataset(FLAGS, CLASSIFICATION.datasets, "Data set of the supernet's training.", "cifar10")
flags.data_dir(FLAGS)
flags.work(FLAGS, "Folder of what is found and trained.")
flags.seeds(FLAGS, 3, "Of trainings.")
FLAGS.boolean("each_seed", False, "A search and a draw for each seed, not one of the first.")
shared.trials(FLAGS, 300, "Networks that a search evaluates, and random ones.", 2)
flags.count(FLAGS, "Number of images of the search split; 0: all.")
flags.epochs(FLAGS, f"Of each training; without it {HYBRID.epochs}.")
FLAGS.integer("candidates", 1, "Networks of a search or draw that are trained for the choice.", 1)
FLAGS.integer("candidate_epochs", 1, "Of each of these; with one candidate there is none.", 1)
flags.out(FLAGS, "File of the record.", required=False)

# Of so few evaluations: generations of ten, and mutations that change less than AutoFormer's.
SETTINGS = EvolutionSettings(
    population=10, parents=4, mutations=5, crossovers=5, depth_probability=0.25,
    block_probability=0.15,
)  # fmt: skip

CANDIDATE_SEED = 100  # of the trainings that choose; no seed of the others


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What is trained of one party and seed.

    Attributes:
      inherited: accuracy 0..1 with the supernet's weights; None of a network that it does not hold.
      best_inherited: of the networks so far, after each generation's number of networks.
      evaluated: `sizes` of all networks that it was chosen from.
      candidates: what the last choice was from, the best in inherited accuracy first, then by size.
    """

    arch: StagedConfig
    cost: NetworkCost
    network: str
    config: AnySubnet | None = None
    inherited: float | None = None
    best_inherited: tuple[float, ...] = ()
    evaluated: dict[str, Any] | None = None
    candidates: tuple[dict[str, Any], ...] = ()


def recipe_of_flags() -> Recipe:
    """Light, for few epochs; the same for all."""
    epochs = FLAGS.epochs or HYBRID.epochs
    whole = dataclasses.replace(HYBRID, epochs=epochs)
    if epochs > 10:
        return whole
    return dataclasses.replace(whole, warmup_epochs=0, ema_momentum=0.99, cutout=0)


def evolved(sampler: Sampler, accuracy: Score, seed: int, trials: int) -> list[float]:
    """Evaluates so many networks, each new one from the best before; their accuracies in order."""
    found: list[float] = []

    def score(config: AnySubnet) -> float:
        found.append(accuracy(config))
        return found[-1]

    settings = dataclasses.replace(SETTINGS, generations=-(-trials // SETTINGS.population))
    evolve(sampler, score, seed, settings)
    return found


def drawn(sampler: Sampler, accuracy: Score, seed: int, trials: int) -> list[float]:
    """Accuracies of so many random networks that differ."""
    rng, known = np.random.default_rng((seed, 7)), dict[AnySubnet, float]()
    while len(known) < trials:
        config = sampler.draw(rng)
        if config not in known:
            known[config] = accuracy(config)
    return list(known.values())


class _Best:
    """A score that keeps what it scored."""

    def __init__(self, accuracy: Score) -> None:
        self.accuracy = accuracy
        self.scored: list[tuple[AnySubnet, float]] = []

    def __call__(self, config: AnySubnet) -> float:
        value = self.accuracy(config)
        self.scored.append((config, value))
        return value


def sizes(space: Searchable, scored: Scored) -> dict[str, Any]:
    """Multiply-accumulates of evaluated networks, and how their scores follow them."""
    macs = [space.arch(config).macs for config, _ in scored]
    scores = [score for _, score in scored]
    return {
        "networks": len(scored),
        "macs": [int(each) for each in np.percentile(macs, [0, 50, 100])],
        "inherited_mean": float(np.mean(scores)),
        "inherited_deviation": float(np.std(scores)),
        "spearman_of_macs": float(stats.spearmanr(macs, scores).statistic),
    }


def _hand_made(sampler: Sampler, accuracy: Score) -> Chosen:
    """With its inherited accuracy where it is one of the space."""
    config = hand_choice_of(sampler.space)
    inherited = accuracy(config) if config else None
    return Chosen(HAND_MADE, sampler.model.cost(HAND_MADE), HAND_TEXT, config, inherited)


def _tried(
    name: str, space: Searchable, found: Scored, alone: TrainedAlone
) -> list[dict[str, Any]]:
    """Each candidate trained for a while, as the last choice needs it."""
    rows = []
    for place, (config, inherited) in enumerate(found):
        arch = space.arch(config).replace(name=f"{name}_{place}")
        assert isinstance(arch, StagedConfig)
        report = alone.train(arch, CANDIDATE_SEED)
        rows.append(
            {
                "network": describe(space, config),
                "config": config.to_dict(),
                "macs": arch.macs,
                "inherited": inherited,
                "validation_accuracy": report["validation_accuracy"],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _chosen(
    party: str, seed: int, sampler: Sampler, accuracy: Score, alone: TrainedAlone
) -> Chosen:
    if party == HAND:
        return _hand_made(sampler, accuracy)
    model, space = sampler.model, sampler.space
    path = os.path.join(FLAGS.work, f"{party}_{seed}.json")
    if not os.path.exists(path):
        best = _Best(accuracy)
        every = (evolved if party == SEARCHED else drawn)(sampler, best, seed, FLAGS.trials)
        found = candidates(space, best.scored, alone.search_images, FLAGS.candidates)
        tried: list[dict[str, Any]] = []
        if FLAGS.candidates > 1:
            short = alone.briefly(FLAGS.candidate_epochs)
            tried = _tried(f"{party}_{seed}_candidate", space, found, short)
        place = int(np.argmax([each["validation_accuracy"] for each in tried])) if tried else 0
        curve = np.maximum.accumulate(every)[SETTINGS.population - 1 :: SETTINGS.population]
        data = {
            "config": found[place][0].to_dict(),
            "inherited": found[place][1],
            "evaluated": sizes(space, best.scored),
            "best_inherited": [float(each) for each in curve],
            "candidates": tried,
        }
        write_json(path, data)
    data = read_json(path)
    config = parse_any_subnet(data["config"])
    arch = space.arch(config)
    assert isinstance(arch, StagedConfig)
    return Chosen(
        arch, model.cost(arch), describe(space, config), config, data["inherited"],
        tuple(data["best_inherited"]), data["evaluated"], tuple(data["candidates"]),
    )  # fmt: skip


def _trained(party: str, seed: int, chosen: Chosen, alone: TrainedAlone) -> dict[str, Any]:
    """Trains alone from random weights; a row of the record."""
    started = time.process_time()
    report = alone.train(chosen.arch.replace(name=f"{party}_{seed}"), seed)
    cost = chosen.cost
    return {
        "party": party,
        "seed": seed,
        "test_accuracy": report["test_accuracy"],
        "validation_accuracy": report["validation_accuracy"],
        "inherited": chosen.inherited,
        "best_inherited": chosen.best_inherited,
        "evaluated": chosen.evaluated,
        "candidates": chosen.candidates,
        "network": chosen.network,
        "config": chosen.config.to_dict() if chosen.config else None,
        "params": chosen.arch.params,
        "macs": chosen.arch.macs,
        "sram_bytes": cost.sram_bytes,
        "flash_bytes": cost.flash_bytes,
        "instructions": round(cost.instructions),
        "latency_ms": cost.latency_ms,
        "cpu_seconds": round(time.process_time() - started),
    }


def _body() -> None:
    seeds = [int(seed) for seed in FLAGS.seeds]
    space: Searchable = load_space(os.path.join(FLAGS.supernet, SPACE_FILE))
    data = load_dataset(
        FLAGS.dataset, FLAGS.data_dir, image_size=space.image_size, channels=space.channels
    )
    recipe = recipe_of_flags()
    setup = {
        "supernet": supernet_mark(FLAGS.supernet),
        "trials": FLAGS.trials,
        "count": FLAGS.count,
        "candidates": FLAGS.candidates,
        "candidate_epochs": FLAGS.candidate_epochs,
        "recipe": recipe.tree(),
        "limits": limits().to_dict(),
    }
    claim(FLAGS.work, setup, resume=True)
    searches = seeds if FLAGS.each_seed else seeds[:1]
    search_images = FLAGS.count or len(data.train) // 5
    tried = FLAGS.candidates * FLAGS.candidate_epochs if FLAGS.candidates > 1 else 0
    size = (FLAGS.trials, search_images, len(data.train), recipe.epochs)
    hours = forecast(len(searches), len(seeds), *size, tried)
    print(f"about {hours:.2f} processor hours in all, less what {FLAGS.work} has", flush=True)
    source = SupernetSource(FLAGS.supernet, FLAGS.dataset, FLAGS.data_dir, images=FLAGS.count)
    remembered = Remembered(os.path.join(FLAGS.work, "measured.jsonl"), Evaluator(source, space))
    model = CostModel(limits(), streamed=True)
    command = typed_command("benchmarks.searched_or_random")
    alone = TrainedAlone(
        recipe, data, FLAGS.dataset, FLAGS.data_dir, FLAGS.work, command, search_images
    )
    chosen: dict[tuple[str, int], Chosen] = {}
    for seed in searches:
        sampler = Sampler(space, model, seed)
        for party in PARTIES:
            found = chosen[party, seed] = _chosen(party, seed, sampler, remembered, alone)
            print(party, seed, found.inherited, found.network, flush=True)
    trained_before = read_json(os.path.join(FLAGS.supernet, TRAIN_FILE))
    rows: list[dict[str, Any]] = []
    for seed, party in itertools.product(seeds, PARTIES):
        each = chosen[party, seed if FLAGS.each_seed else searches[0]]
        rows.append(_trained(party, seed, each, alone))
        print(json.dumps(rows[-1]), flush=True)
        record = {
            "command": without_folders(command),
            "versions": versions_of(*SEARCH_PACKAGES),
            "supernet": {
                "command": without_folders(trained_before["command"]),
                **{
                    name: trained_before[name]
                    for name in ("seed", "epochs", "steps", "seconds", "networks")
                },
            },
            "limits": limits().to_dict(),
            "search_images": FLAGS.count,
            "trials": FLAGS.trials,
            "searches": len(searches),
            **({"candidate_epochs": FLAGS.candidate_epochs} if tried else {}),
            "training_images": len(data.train),
            "recipe": recipe.tree(),
            "gains": gains(rows),
            "rows": rows,
        }
        if FLAGS.out:
            write_json(FLAGS.out, record)
    print(json.dumps(gains(rows)))


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
