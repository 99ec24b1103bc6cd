# SPDX-License-Identifier: Apache-2.0
"""The search as an Optuna study: what is stored, asked and told.

A trial is a sub-network; its values are accuracy (up) and estimated latency (down). A sub-network
over a limit is told as pruned, with what it exceeds, and never evaluated. The storage is a journal
file, safe for several processes, or any database that Optuna knows by URL. A trial's proposal
depends on the seed, the worker and the number of trials before it, so that one worker always finds
the same, also after a restart.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from nas.cost.model import NetworkCost
from nas.cost.sampler import Sampler
from nas.search.encoding import config_of, distributions, params_of
from nas.space import SpaceError, SubnetConfig, parse_subnet
from nas.space.setup import same_setup
from tflm_vit.files import reading

STUDY = "search"
CONFIG, COST, SETUP, EXCESS = "config", "cost", "setup", "excess"

optuna.logging.set_verbosity(optuna.logging.WARNING)


class StudyError(ValueError):
    """A storage that cannot be used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Found:
    """An evaluated sub-network."""

    number: int
    config: SubnetConfig
    accuracy: float
    latency_ms: float
    cost: dict[str, Any]


def open_storage(place: str) -> Any:
    """A database by URL, else a journal file."""
    if "://" in place:
        try:
            return optuna.storages.RDBStorage(place)
        except ImportError as error:
            raise StudyError(f"the driver is not installed: {error.__cause__ or error}") from error
    os.makedirs(os.path.dirname(os.path.abspath(place)), exist_ok=True)
    return optuna.storages.JournalStorage(JournalFileBackend(place))


def open_study(place: str, setup: str, resume: bool) -> optuna.Study:
    """Creates the study, or goes on with it.

    Args:
      setup: JSON of what must not change.
      resume: an existing study is wanted; otherwise it is an error.

    Raises:
      StudyError: it exists and `resume` is not given, or it was made with another setup.
    """
    # Without what stands before the host of a database: a user and a password.
    shown = re.sub(r"://[^/]*@", "://", place)
    with reading(shown, "a study", StudyError):
        study = optuna.create_study(
            storage=open_storage(place),
            study_name=STUDY,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        before = study.user_attrs.get(SETUP)
    if before is None:
        study.set_user_attr(SETUP, setup)
    elif not same_setup(before, setup):
        raise StudyError(
            f"{shown}: a search with other settings; give the same ones or another --out"
        )
    elif not resume:
        raise StudyError(f"{shown}: exists; give --resume to go on with it, or another --out")
    return study


def fail_unfinished(study: optuna.Study) -> int:
    """Marks trials that a killed worker left running; call it when no worker runs."""
    left = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in left:
        study.tell(trial.number, state=TrialState.FAIL)
    return len(left)


def repair_journal(place: str) -> int:
    """Removes the line that a machine losing power left unfinished at the end of a journal file.

    Optuna reads around it, but the next entry would be joined to it and the journal be lost. Call
    it when no worker runs, before `open_study`; databases need none.

    Returns:
      Bytes removed.
    """
    if "://" in place or not os.path.exists(place):
        return 0
    with open(place, "r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
    return len(content) - whole


@dataclasses.dataclass(frozen=True)
class Searcher:
    """Adds trials to a study.

    Attributes:
      accuracy: measures a sub-network, 0..1.
      population: of NSGA-II (Deb et al., 2002); the first one is random within the limits.
      worker: number of this process, 0 for the only one.
    """

    study: optuna.Study
    sampler: Sampler
    accuracy: Callable[[SubnetConfig], float]
    seed: int = 0
    population: int = 50
    worker: int = 0

    def run(self, trials: int, on_trial: Callable[[int], None] = lambda done: None) -> None:
        """Searches until the study has that many evaluated trials, of all workers together.

        Args:
          on_trial: told how many there are.
        """
        while (done := self._count()) < trials:
            on_trial(done)
            self.step()
        on_trial(done)

    def _count(self) -> int:
        states = (TrialState.COMPLETE,)
        return len(self.study.get_trials(deepcopy=False, states=states))

    def step(self) -> Found | None:
        """One trial; None if its network is over a limit."""
        before = self.study.get_trials(deepcopy=False)
        entropy = (self.seed, self.worker, len(before))
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        self.study.sampler = optuna.samplers.NSGAIISampler(
            population_size=self.population, seed=seed
        )
        space = self.sampler.space
        if len(before) < self.population:
            drawn = self.sampler.draw(np.random.default_rng(seed))
            self.study.enqueue_trial(params_of(space, drawn))
        trial = self.study.ask(distributions(space))
        config = config_of(space, trial.params)
        cost = self.sampler.model.cost(space.arch(config))
        trial.set_user_attr(CONFIG, json.dumps(config.to_dict()))
        trial.set_user_attr(COST, _cost_dict(cost))
        if not cost.fits:
            trial.set_user_attr(EXCESS, list(cost.excess))
            self.study.tell(trial, state=TrialState.PRUNED)
            return None
        accuracy = self._known(before).get(config)
        if accuracy is None:
            accuracy = self.accuracy(config)
        self.study.tell(trial, [accuracy, cost.latency_ms])
        return Found(trial.number, config, accuracy, cost.latency_ms, _cost_dict(cost))

    def _known(self, before: list[FrozenTrial]) -> dict[SubnetConfig, float]:
        return {found.config: found.accuracy for found in evaluated(before)}

    def add(self, config: SubnetConfig) -> float:
        """Accuracy of a sub-network that another algorithm proposes; stored like a trial."""
        space = self.sampler.space
        before = self._known(self.study.get_trials(deepcopy=False))
        if config in before:
            return before[config]
        cost = self.sampler.model.cost(space.arch(config))
        if not cost.fits:
            raise SpaceError(f"sub-network over {' and '.join(cost.excess)}: not evaluated")
        accuracy = self.accuracy(config)
        self.study.add_trial(
            optuna.trial.create_trial(
                params=params_of(space, config),
                distributions=distributions(space),
                values=[accuracy, cost.latency_ms],
                user_attrs={CONFIG: json.dumps(config.to_dict()), COST: _cost_dict(cost)},
            )
        )
        return accuracy


def _cost_dict(cost: NetworkCost) -> dict[str, Any]:
    fields = dataclasses.asdict(cost)
    return {k: None if v == np.inf else v for k, v in fields.items() if k != "excess"}


def evaluated(trials: list[FrozenTrial]) -> list[Found]:
    """The finished trials, in order."""
    return [
        Found(
            t.number,
            parse_subnet(json.loads(t.user_attrs[CONFIG])),
            t.values[0],
            t.values[1],
            t.user_attrs[COST],
        )
        for t in trials
        if t.state is TrialState.COMPLETE
    ]


def pareto_front(found: list[Found]) -> list[Found]:
    """Networks than which none is both as accurate and as fast, and better in one; fastest first.

    Of equal figures the network of the earliest trial stays.
    """
    front: list[Found] = []
    for each in sorted(found, key=lambda f: (f.latency_ms, -f.accuracy, f.number)):
        if not front or each.accuracy > front[-1].accuracy:
            front.append(each)
    return front
