# SPDX-License-Identifier: Apache-2.0
"""A study as figures: every network that was evaluated, the front, and what mattered."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections import defaultdict
from typing import Any

import optuna
from optuna.trial import TrialState

from nas.found.evolution_steps import EvolutionFigures
from nas.search.storage import SETUP, STUDY, StudyError, open_storage, shown
from nas.search.study import EXCESS, Evaluated, evaluated, pareto_front
from nas.space.any_space import Searchable, parse_space
from nas.space.describe import describe
from tflm_vit.files import parse_json, reading
from tflm_vit.records import checked

LEAST_TRIALS = 10  # for importances; of fewer they say nothing


@dataclasses.dataclass(frozen=True)
class TrialFigures:
    """One network.

    Attributes:
      number: of the trial.
      accuracy: with the supernet's weights, 0..1.
      latency_ms: estimate.
      network: in words.
    """

    number: int
    accuracy: float
    latency_ms: float
    sram_bytes: int
    flash_bytes: int
    params: int
    macs: int
    network: str


@dataclasses.dataclass(frozen=True)
class Importance:
    """Share of the variance of the accuracy that a dimension explains, 0..1."""

    dimension: str
    share: float


@dataclasses.dataclass(frozen=True)
class SearchFigures:
    """What a search found.

    Attributes:
      space, algorithm, dataset, target: what was searched, how, and for what.
      over_budget: proposals that were over a limit, and so never evaluated.
      trials: every evaluated network, in the order of the search.
      front: numbers of the trials than which none is better in both; fastest first.
      importances: largest first; () where there are too few trials to tell.
      evolution: steps of the space, where their folder was given.
    """

    space: str
    algorithm: str
    dataset: str
    target: str
    over_budget: int
    trials: tuple[TrialFigures, ...]
    front: tuple[int, ...]
    importances: tuple[Importance, ...]
    evolution: EvolutionFigures | None = None

    def members(self) -> list[TrialFigures]:
        """The trials of the front."""
        by_number = {trial.number: trial for trial in self.trials}
        return [by_number[number] for number in self.front]


def read_search(place: str) -> SearchFigures:
    """Reads a study; one that is still running as far as it is.

    Args:
      place: a journal file, or the URL of a database.

    Raises:
      OSError: there is no such file.
      StudyError: it is no study of nas.search, or has no network yet.
    """
    if "://" not in place:
        os.stat(place)  # Optuna would make it
    with reading(shown(place), "a study of nas.search", StudyError):
        study = optuna.load_study(study_name=STUDY, storage=open_storage(place))
        setup = parse_json(study.user_attrs[SETUP])
        space = parse_space(json.dumps(setup["space"]))
        trials = study.get_trials(deepcopy=False)
        every = evaluated(trials)
        if not every:
            raise StudyError(f"{shown(place)}: no network was evaluated yet; go on with the search")
        return SearchFigures(
            space.name,
            str(setup["algorithm"]),
            str(setup["source"]["dataset"]),
            _target(setup["model"]),
            sum(EXCESS in t.user_attrs for t in trials),
            tuple(_figures(space, each) for each in every),
            tuple(each.number for each in pareto_front(every)),
            importances(study),
        )


def _target(model: dict[str, Any]) -> str:
    target = model["target"]
    limits = [f"{target[k]:,} bytes of {text}" for k, text in
              (("sram_bytes", "SRAM"), ("flash_bytes", "flash"),
               ("external_flash_bytes", "external flash")) if target.get(k)]  # fmt: skip
    if target.get("latency_ms"):
        limits.append(f"{target['latency_ms']:g} ms")
    return f"{target['name']}{': ' if limits else ''}{', '.join(limits)}"


def _figures(space: Searchable, found: Evaluated) -> TrialFigures:
    cost = found.cost
    sizes = (cost["sram_bytes"], cost["flash_bytes"], cost["params"], cost["macs"])
    words = describe(space, found.config)
    return checked(TrialFigures(found.number, found.accuracy, found.latency_ms, *sizes, words))


def importances(study: optuna.Study) -> tuple[Importance, ...]:
    """Of each dimension for the accuracy, by functional ANOVA (Hutter et al., 2014), the same each
    time; what blocks choose apart is added up."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < LEAST_TRIALS or len({t.values[0] for t in done}) == 1:
        return ()
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(
        study, evaluator=evaluator, target=lambda trial: trial.values[0]
    )
    sums: dict[str, float] = defaultdict(float)
    for name, share in found.items():
        sums[re.sub(r"\d+$", "", name)] += share
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Importance(name, share) for name, share in ordered)
