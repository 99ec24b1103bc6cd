# SPDX-License-Identifier: Apache-2.0
"""Studies: limits are hard, resuming loses nothing, workers share, evolution, fronts."""

import json
import multiprocessing
import os
import signal
import statistics
import time

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from benchmarks.search_workers import hypervolume
from nas.cost.model import CostModel
from nas.cost.sampler import Sampler
from nas.cost.targets import KIB, BudgetError, Target
from nas.search.autoformer import EvolutionSettings, cross, evolve, mutate
from nas.search.encoding import config_of, distributions, params_of
from nas.search.front import write_front
from nas.search.lost import repeat_all
from nas.search.storage import StudyError, open_study, repair_journal
from nas.search.study import (
    EXCESS,
    Evaluated,
    Searcher,
    evaluated,
    pareto_front,
)
from nas.space import RankRule, SpaceError
from nas.space.presets import SPACES
from tests.nas.space.test_space import tiny

SPACE = SPACES["digits_8"]
MODEL = CostModel(Target(sram_bytes=12 * 1024, flash_bytes=72 * 1024))


def accuracy(config):
    """A stand-in that grows with size, and prefers the middle of the heads."""
    arch = SPACE.arch(config)
    return 1.0 - 1.0 / np.log(arch.params) - 0.01 * abs(np.mean(config.heads) - 2)


def refuse_over_budget(config):
    assert MODEL.cost(SPACE.arch(config)).fits, "a network over budget was evaluated"
    return accuracy(config)


def searcher(place, seed=0, resume=False, worker=0, score=refuse_over_budget):
    study = open_study(str(place), "setup", resume)
    return Searcher(study, Sampler(SPACE, MODEL, seed), score, seed, 12, worker)


def results(s):
    return [(f.config, f.accuracy, f.latency_ms) for f in evaluated(s.study.get_trials())]


def test_networks_over_budget_are_never_evaluated(tmp_path):
    s = searcher(tmp_path / "study")
    s.run(30)
    trials = s.study.get_trials()
    states = [t.state for t in trials]
    assert states.count(TrialState.COMPLETE) == 30
    for trial in trials:
        config = config_of(SPACE, trial.params)
        excess = MODEL.cost(SPACE.arch(config)).excess
        assert tuple(trial.user_attrs.get(EXCESS, ())) == excess
        assert (trial.state is TrialState.PRUNED) == bool(excess)


def test_the_same_seed_finds_the_same_and_resuming_goes_on(tmp_path):
    whole, other = searcher(tmp_path / "whole"), searcher(tmp_path / "other", seed=1)
    whole.run(26)
    other.run(26)
    assert results(whole) != results(other)
    searcher(tmp_path / "parts").run(17)
    with pytest.raises(StudyError, match="--resume"):
        searcher(tmp_path / "parts")
    parts = searcher(tmp_path / "parts", resume=True)
    parts.run(26)
    assert results(parts) == results(whole)
    with pytest.raises(StudyError, match="another set-up"):
        open_study(str(tmp_path / "parts"), "another", True)


def test_a_study_of_an_earlier_version_goes_on(tmp_path):
    target = {"sram_bytes": 9, "static_bytes": 2048, "code_bytes": 46080}
    setup = {"model": {"target": target}, "seed": 0}
    setup["space"] = {"depth": [1, 2]}
    open_study(str(tmp_path / "study"), json.dumps(setup), False)
    del target["static_bytes"], target["code_bytes"]
    setup["space"] |= {"a dimension that it lacks": None, "another": []}
    open_study(str(tmp_path / "study"), json.dumps(setup), True)
    setup["model"]["target"]["sram_bytes"] = 8
    with pytest.raises(StudyError, match="another model; give the same"):
        open_study(str(tmp_path / "study"), json.dumps(setup), True)


def test_search_beats_random():
    """The area under the front, with as many networks, in a space too large to be drawn well."""
    space = SPACES["mcu_32"]
    model = CostModel(Target(sram_bytes=64 * KIB, flash_bytes=512 * KIB))
    choices = {n: d.choices for n, d in distributions(space).items()}

    def wished(config):
        """The last choice of one dimension, the first of the next: no size is the best."""
        named = enumerate(sorted(params_of(space, config).items()))
        places = [(i, choices[n].index(v) / max(1, len(choices[n]) - 1)) for i, (n, v) in named]
        return float(np.mean([p if i % 2 else 1 - p for i, p in places]))

    def area(seed, population):
        study = optuna.create_study(directions=["maximize", "minimize"])  # in memory
        Searcher(study, Sampler(space, model), wished, seed, population).run(100)
        found = evaluated(study.get_trials())
        return hypervolume([(f.latency_ms, f.accuracy) for f in found], 80.0)

    everything = 10**9  # a population of that size is drawn at random
    searched, drawn = ([area(seed, p) for seed in range(3)] for p in (12, everything))
    assert statistics.median(searched) > 1.05 * statistics.median(drawn)


def _slow(config):
    time.sleep(0.05)
    return accuracy(config)


# Workers are forked: they have the imports already, which take longer than a search.


def _work(place, worker):
    searcher(place, resume=True, worker=worker, score=_slow).run(40)


def test_workers_share_a_study_and_one_that_is_killed_loses_nothing(tmp_path):
    place = tmp_path / "study"
    open_study(str(place), "setup", False)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(place, i)) for i in range(2)]
    for worker in workers:
        worker.start()
    study = open_study(str(place), "setup", True)
    deadline = time.monotonic() + 120
    while len(evaluated(study.get_trials())) < 10 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(workers[1].pid, signal.SIGKILL)
    before = results(searcher(place, resume=True))
    workers[0].join(180)
    assert workers[0].exitcode == 0
    s = searcher(place, resume=True)
    after = results(s)
    assert len(before) >= 10
    assert all(each in after for each in before)
    assert len(after) == 40
    repeat_all(s.study, set(distributions(SPACE)))
    assert not s.study.get_trials(states=(TrialState.RUNNING,))
    s.run(45)
    assert len(results(s)) == 45


def test_killing_all_workers_and_starting_again_loses_no_finished_trial(tmp_path):
    """SIGKILL for both at once, a line cut off in the journal, then new processes to the end."""
    place = tmp_path / "study"
    open_study(str(place), "setup", False)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(place, i)) for i in range(2)]
    for worker in workers:
        worker.start()
    study = open_study(str(place), "setup", True)
    deadline = time.monotonic() + 240
    while len(evaluated(study.get_trials())) < 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == -signal.SIGKILL
    with open(place, "ab") as journal:
        journal.write(b'{"op_code": 8, "worker_id": ')
    assert repair_journal(str(place)) == 28
    assert repair_journal(str(place)) == 0
    before = open_study(str(place), "setup", True).get_trials()
    finished = [t for t in before if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(evaluated(before)) >= 8
    assert len(evaluated(before)) < 40
    repeat_all(searcher(place, resume=True).study, set(distributions(SPACE)))
    again = context.Process(target=_work, args=(place, 0))
    again.start()
    again.join(240)
    assert again.exitcode == 0
    after = {t.number: t for t in open_study(str(place), "setup", True).get_trials()}
    for trial in finished:
        same = after[trial.number]
        assert (same.state, same.values, same.params, same.user_attrs) == (
            trial.state, trial.values, trial.params, trial.user_attrs
        )  # fmt: skip
    assert len(evaluated(list(after.values()))) == 40
    assert TrialState.RUNNING not in {t.state for t in after.values()}


@pytest.mark.parametrize("ranks", [None, RankRule((0.5, 1.0)), RankRule((0.5, 1.0), False)])
def test_parameters_round_trip(ranks):
    space, rng = tiny(ranks=ranks), np.random.default_rng(0)
    for _ in range(50):
        config = space.sample(rng)
        params = params_of(space, config)
        assert set(params) == set(distributions(space))
        assert config_of(space, params) == config


@pytest.mark.parametrize("ranks", [None, RankRule((0.5, 1.0)), RankRule((0.5, 1.0), False)])
def test_mutations_and_crossovers_stay_in_the_space(ranks):
    space, rng = tiny(ranks=ranks, depth=(1, 2, 3)), np.random.default_rng(0)
    settings, changed = EvolutionSettings(), 0
    for _ in range(200):
        one, two = space.sample(rng), space.sample(rng)
        mutant, child = mutate(space, one, rng, settings), cross(space, one, two, rng)
        space.check(mutant)
        space.check(child)
        assert child.embed_dim in (one.embed_dim, two.embed_dim)
        assert child.depth in (one.depth, two.depth)
        changed += mutant != one
    assert changed > 120


def test_evolution_obeys_limits_and_resumes_from_its_study(tmp_path):
    """Defect 1 of the released search: it has no memory limit."""
    settings = EvolutionSettings(4, 12, 4, 6, 6)
    s = searcher(tmp_path / "study")
    calls = []

    def score(config):
        calls.append(config)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return s.add(config)

    with pytest.raises(KeyboardInterrupt):
        evolve(s.sampler, score, 5, settings)
    assert len(results(s)) == 19
    found = evolve(s.sampler, s.add, 5, settings)
    assert len(found) == len(results(s)) == 48
    whole = searcher(tmp_path / "whole")
    assert evolve(whole.sampler, whole.add, 5, settings) == found
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    first = {c for c, _, _ in results(s)[:12]}
    assert found[0][0] not in first or len(set(scores)) == 1
    with pytest.raises(SpaceError, match="not evaluated"):
        s.add(SPACE.largest())


def test_an_impossible_budget_is_refused_at_once():
    sampler = Sampler(SPACE, CostModel(Target(sram_bytes=4500)))
    with pytest.raises(BudgetError, match=r"no network of digits_8 fits SRAM 4,500 bytes: the"):
        sampler.census  # noqa: B018


def test_sampling_steps():
    sampler = Sampler(SPACE, MODEL, 3)
    for number in range(30):
        (one,) = sampler.step(number, False)
        four = sampler.step(number, True)
        assert sampler.step(number, True) == four
        assert len({c.patch for c in four}) == 1
        assert four[2] == one
        assert all(sampler.fits(c) for c in four)
        params = [SPACE.arch(c).params for c in four]
        assert max(params) == params[0]
    assert sampler.step(0, False) != Sampler(SPACE, MODEL, 4).step(0, False)


def found(number, accuracy, latency):
    return Evaluated(number, SPACE.smallest(), accuracy, latency, dict.fromkeys(
        ("sram_bytes", "flash_bytes", "params", "macs"), 1))  # fmt: skip


def test_pareto_front():
    points = [(0, 0.5, 3.0), (1, 0.6, 3.0), (2, 0.4, 1.0), (3, 0.4, 2.0), (4, 0.7, 9.0),
              (5, 0.7, 9.0), (6, 0.65, 10.0)]  # fmt: skip
    assert [f.number for f in pareto_front([found(*p) for p in points])] == [2, 1, 4]


def test_front_files(tmp_path):
    front, every = [found(1, 0.5, 1.0), found(2, 0.6, 2.0)], [found(3, 0.4, 3.0)]
    for stale in ("front_2.json", "front_17.json"):  # of a longer front, before a --resume
        (tmp_path / stale).write_text("{}")
    names = write_front(str(tmp_path), SPACE, front, front + every, "a <b>")
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    rows = (tmp_path / "front.csv").read_text().splitlines()
    assert rows[0].startswith("trial,accuracy,latency_ms")
    assert len(rows) == 3
    assert len(json.loads((tmp_path / "front.json").read_text())["front"]) == 2
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
