# SPDX-License-Identifier: Apache-2.0
"""The search as an Optuna study: what is stored, asked and told.

A trial is a sub-network; its values are accuracy (up) and estimated latency (down). A sub-network
over a limit is told as pruned, with what it exceeds, and never evaluated. A trial's proposal
depends on the seed, the worker and the number of trials that were finished before it, so that one
worker always finds the same, also after a restart. A trial whose process died is made again
(`lost`), a database that is silent for a while is waited for (`storage`).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from nas.cost.model import NetworkCost
from nas.cost.sampler import Sampler
from nas.search import lost
from nas.search.encoding import config_of, distributions, params_of
from nas.search.storage import STORAGE_ERRORS, patiently
from nas.space import SpaceError
from nas.space.any_space import AnySubnet, parse_any_subnet

CONFIG, COST, EXCESS = "config", "cost", "excess"
WAIT_S = 0.2  # between two looks at what others still evaluate


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An evaluated sub-network."""

    number: int
    config: AnySubnet
    accuracy: float
    latency_ms: float
    cost: dict[str, Any]


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
    accuracy: Callable[[AnySubnet], float]
    seed: int = 0
    population: int = 50
    worker: int = 0

    def run(self, trials: int, on_trial: Callable[[int], None] = lambda done: None) -> None:
        """Searches until the study has that many evaluated trials, of all workers together.

        Args:
          on_trial: told how many there are.
        """
        while (done := patiently(lambda: self._round(trials))) < trials:
            on_trial(done)
        on_trial(done)

    def _round(self, trials: int) -> int:
        """One trial, unless those that run may be enough; the number of evaluated ones."""
        lost.repeat_lost(self.study, set(distributions(self.sampler.space)))
        every = self.study.get_trials(deepcopy=False)
        done = sum(t.state is TrialState.COMPLETE for t in every)
        if done >= trials:
            return done
        if done + sum(t.state is TrialState.RUNNING for t in every) >= trials:
            time.sleep(WAIT_S)
            return done
        return done + (self.step(trials) is not None)

    def step(self, most: int | None = None) -> Evaluated | None:
        """One trial; None if its network is over a limit, or is not needed.

        Args:
          most: evaluated trials that are wanted; of two workers that begin the last one at the same
            time, the later one gives it up.
        """
        before = self.study.get_trials(deepcopy=False)
        finished = [t for t in before if t.state in lost.FINISHED]
        entropy = (self.seed, self.worker, len(finished))
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        self.study.sampler = optuna.samplers.NSGAIISampler(
            population_size=self.population, seed=seed
        )
        space = self.sampler.space
        if not any(lost.waits_for_anyone(t) for t in before):
            params = {}
            if len(finished) < self.population:
                params = params_of(space, self.sampler.draw(np.random.default_rng(seed)))
            self.study.enqueue_trial(params, user_attrs={lost.QUEUED: lost.here()})
        try:
            trial = self._ask()
            if most is not None and self._is_surplus(trial, most):
                self.study.tell(trial, state=TrialState.FAIL)
                if lost.REPEATS in trial.user_attrs:
                    lost.requeue(self.study, trial.params, trial.number)
                return None
            return self._evaluate(trial, finished)
        except optuna.exceptions.UpdateFinishedTrialError:  # another worker took it for lost
            return None

    def _ask(self) -> optuna.Trial:
        """Takes a trial out of the queue; what a storage gave without saying so is given back."""
        parameters = distributions(self.sampler.space)
        try:
            trial = self.study.ask(parameters)
        except STORAGE_ERRORS:
            patiently(lambda: lost.repeat_lost(self.study, set(parameters), in_vain=True))
            raise
        patiently(lambda: trial.set_user_attr(lost.OWNER, lost.here()))
        return trial

    def _is_surplus(self, trial: optuna.Trial, most: int) -> bool:
        """Whether enough trials were begun before this one."""
        states = (TrialState.COMPLETE, TrialState.RUNNING)
        begun = self.study.get_trials(deepcopy=False, states=states)
        complete = sum(t.state is TrialState.COMPLETE for t in begun)
        earlier = sum(t.state is TrialState.RUNNING and t.number < trial.number for t in begun)
        return complete + earlier >= most

    def _evaluate(self, trial: optuna.Trial, finished: list[FrozenTrial]) -> Evaluated | None:
        config = config_of(self.sampler.space, trial.params)
        cost = self.sampler.model.cost(self.sampler.space.arch(config))
        attributes = {CONFIG: json.dumps(config.to_dict()), COST: _cost_dict(cost)}
        if not cost.fits:
            attributes[EXCESS] = list(cost.excess)
        for name, value in attributes.items():
            patiently(functools.partial(trial.set_user_attr, name, value))
        if not cost.fits:
            patiently(
                lambda: self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
            )
            return None
        accuracy = self._known(finished).get(config)
        if accuracy is None:
            accuracy = self.accuracy(config)
        values = [accuracy, cost.latency_ms]
        patiently(lambda: self.study.tell(trial, values, skip_if_finished=True))
        return Evaluated(trial.number, config, accuracy, cost.latency_ms, _cost_dict(cost))

    def _known(self, before: list[FrozenTrial]) -> dict[AnySubnet, float]:
        return {found.config: found.accuracy for found in evaluated(before)}

    def add(self, config: AnySubnet) -> float:
        """Accuracy of a sub-network that another algorithm proposes; stored like a trial."""
        space = self.sampler.space
        before = patiently(lambda: self._known(self.study.get_trials(deepcopy=False)))
        if config in before:
            return before[config]
        cost = self.sampler.model.cost(space.arch(config))
        if not cost.fits:
            raise SpaceError(f"sub-network over {' and '.join(cost.excess)}: not evaluated")
        accuracy = self.accuracy(config)
        trial = optuna.trial.create_trial(
            params=params_of(space, config),
            distributions=distributions(space),
            values=[accuracy, cost.latency_ms],
            user_attrs={CONFIG: json.dumps(config.to_dict()), COST: _cost_dict(cost)},
        )
        patiently(lambda: self._store(trial, config))
        return accuracy

    def _store(self, trial: FrozenTrial, config: AnySubnet) -> None:
        """Adds a finished trial, unless that was done before the storage fell silent."""
        if config not in self._known(self.study.get_trials(deepcopy=False)):
            self.study.add_trial(trial)


def _cost_dict(cost: NetworkCost) -> dict[str, Any]:
    fields = dataclasses.asdict(cost)
    return {k: None if v == np.inf else v for k, v in fields.items() if k != "excess"}


def evaluated(trials: list[FrozenTrial]) -> list[Evaluated]:
    """The finished trials, in order."""
    return [
        Evaluated(
            t.number,
            parse_any_subnet(json.loads(t.user_attrs[CONFIG])),
            t.values[0],
            t.values[1],
            t.user_attrs[COST],
        )
        for t in trials
        if t.state is TrialState.COMPLETE
    ]


def pareto_front(found: list[Evaluated]) -> list[Evaluated]:
    """Networks than which none is both as accurate and as fast, and better in one; fastest first.

    Of equal figures the network of the earliest trial stays.
    """
    front: list[Evaluated] = []
    for each in sorted(found, key=lambda f: (f.latency_ms, -f.accuracy, f.number)):
        if not front or each.accuracy > front[-1].accuracy:
            front.append(each)
    return front
