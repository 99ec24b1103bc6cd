# SPDX-License-Identifier: Apache-2.0
"""What may happen to a study: workers die, databases fall silent, places are none."""

import multiprocessing
import os
import signal
import socket
import threading
import time

import pytest
import sqlalchemy
from optuna.trial import TrialState

from nas.search import lost
from nas.search.encoding import distributions
from nas.search.journal_lock import journal_lock
from nas.search.storage import StudyError, open_study, patiently, repair_journal, shown
from nas.search.study import evaluated
from tests.nas.search.test_search import SPACE, accuracy, refuse_over_budget, results, searcher


def _hang(config):
    """A worker that is killed in its second trial."""
    _hang.calls += 1
    if _hang.calls == 2:
        time.sleep(600)
    return accuracy(config)


_hang.calls = 0


def _work(place, worker, trials, score):
    searcher(place, resume=True, worker=worker, score=score).run(trials)


def _slow(config):
    time.sleep(0.02)
    return accuracy(config)


def start(place, worker, trials, score):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_work, args=(place, worker, trials, score))
    process.start()
    return process


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_trial_of_a_killed_worker_is_made_again_in_the_same_search(tmp_path):
    place = tmp_path / "study"
    study = open_study(str(place), "setup", False)
    worker = start(place, 1, 100, _hang)

    def claimed():
        running = study.get_trials(states=(TrialState.RUNNING,))
        return [t for t in running if lost.OWNER in t.user_attrs]

    until(lambda: evaluated(study.get_trials()) and claimed())
    (running,) = claimed()
    assert not lost.is_lost(running, [])
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: lost.is_lost(running, []))  # a zombie: its parent has not waited for it
    s = searcher(place, resume=True)
    s.run(8)
    worker.join(60)
    trials = s.study.get_trials()
    assert trials[running.number].state is TrialState.FAIL
    (again,) = [t for t in trials if t.user_attrs.get(lost.REPEATS) == running.number]
    assert again.state in lost.FINISHED
    assert again.params == running.params
    assert len(results(s)) == 8


def test_a_trial_taken_by_a_process_that_died_before_it_said_so_is_made_again(
    tmp_path, monkeypatch
):
    """It was queued by this process, which lives, and taken out by another one."""
    s = searcher(tmp_path / "study")
    s.run(3)
    s.study.enqueue_trial({}, user_attrs={lost.QUEUED: lost.here()})
    taken = s.study.ask(distributions(SPACE)).number
    monkeypatch.setattr(lost, "UNOWNED_S", 3600.0)
    assert not lost.is_lost(s.study.get_trials()[taken], [])  # its taker may be about to say so
    monkeypatch.setattr(lost, "UNOWNED_S", 0.0)
    s.run(5)
    trials = s.study.get_trials()
    assert trials[taken].state is TrialState.FAIL
    assert len(evaluated(trials)) == 5


def _hold(folder):
    os.chdir(folder)
    journal_lock("runs/study").acquire()
    open("held", "w").close()
    time.sleep(600)


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path, monkeypatch):
    """With a relative path as well, as --out gives it."""
    (tmp_path / "runs").mkdir()
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path,))
    holder.start()
    until((tmp_path / "held").exists)
    monkeypatch.chdir(tmp_path)
    waiting = threading.Thread(target=open_study, args=("runs/study", "setup", False), daemon=True)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(60)
    waiting.join(20)
    assert not waiting.is_alive()
    searcher("runs/study", resume=True).run(1)


def test_workers_tell_no_more_than_what_was_asked_for(tmp_path):
    place = tmp_path / "study"
    study = open_study(str(place), "setup", False)
    workers = [start(place, number, 15, _slow) for number in range(3)]
    for worker in workers:
        worker.join(240)
        assert worker.exitcode == 0
    assert len(evaluated(study.get_trials())) == 15
    assert not study.get_trials(states=(TrialState.RUNNING,))


def test_of_two_that_begin_the_last_trial_the_later_one_gives_up(tmp_path):
    s = searcher(tmp_path / "study")
    s.run(3)
    before = s.study.ask(distributions(SPACE))  # another worker's, which lives
    before.set_user_attr(lost.OWNER, [socket.gethostname(), os.getppid(), time.time()])
    assert s.step(4) is None
    assert s.study.get_trials()[-1].state is TrialState.FAIL
    assert s.step(5) is not None
    assert len(results(s)) == 4


@pytest.mark.parametrize("at", [3, 17])  # within the random population of 12, and behind it
def test_a_search_that_is_killed_within_a_trial_finds_the_same(tmp_path, at):
    whole = searcher(tmp_path / "whole")
    whole.run(22)
    calls = []

    def killed(config):
        calls.append(config)
        if len(calls) == at:
            raise KeyboardInterrupt
        return refuse_over_budget(config)

    with pytest.raises(KeyboardInterrupt):
        searcher(tmp_path / "parts", score=killed).run(22)
    parts = searcher(tmp_path / "parts", resume=True)
    parts.run(22)
    assert [r[0] for r in results(parts)] == [r[0] for r in results(whole)]


class Silence:
    """A database that fails for a while, again and again, as one that is restarted."""

    def __init__(self, study, every, seconds):
        self.every, self.seconds, self.statements, self.until = every, seconds, 0, 0.0
        engine = study._storage._backend.engine
        sqlalchemy.event.listen(engine, "before_cursor_execute", self)
        self.failed = 0

    def __call__(self, *arguments):
        self.statements += 1
        if self.statements % self.every == 0:
            self.until = time.monotonic() + self.seconds
        if time.monotonic() < self.until:
            self.failed += 1
            raise sqlalchemy.exc.OperationalError("select", {}, Exception("server closed\nhint"))


def test_a_database_that_restarts_costs_no_finished_trial(tmp_path, capsys):
    calm = searcher(f"sqlite:///{tmp_path}/calm.db")
    calm.run(6)
    restarted = searcher(f"sqlite:///{tmp_path}/restarted.db")
    silence = Silence(restarted.study, 149, 0.1)
    restarted.run(6)
    silence.every = 1 << 60
    assert silence.failed >= 3
    assert len(results(restarted)) == 6
    assert {r[0] for r in results(restarted)} == {r[0] for r in results(calm)}
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert not [x for x in lines if "does not answer (" not in x or "server closed" not in x]


def test_a_database_that_stays_silent_ends_a_search_with_one_line(tmp_path):
    s = searcher(f"sqlite:///{tmp_path}/study.db")
    Silence(s.study, 1, 60)
    with pytest.raises(
        StudyError, match=r"did not answer for 0.3 s .*go on with --resume"
    ) as caught:
        patiently(s.study.get_trials, 0.3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            "mysql://user:secret@host/x",
            r"^mysql://host/x: not a study: the driver .* is not installed",
        ),
        ("nosuch://user:secret@host/x", "no URL of a database"),
        ("sqlite:////no/such/folder/x.db", "does not answer"),
        ("://", "no URL of a database"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line(place, message):
    with pytest.raises(StudyError, match=message) as caught:
        open_study(place, "setup", False)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_is_never_shown():
    assert shown("postgresql://user:secret@host/x") == "postgresql://host/x"
    assert shown("/tmp/study.log") == "/tmp/study.log"
    assert "secret" not in shown("no url://:secret@[")


@pytest.mark.parametrize("content", [b"mine", b"mine\n", b"first\nsecond", b"\x89PNG\r\n\x1a\n\0"])
def test_a_file_of_something_else_stays_as_it_is(tmp_path, content):
    """Optuna wrote to its end, and --resume cut off what stood behind the last line break."""
    place = tmp_path / "notes.txt"
    place.write_bytes(content)
    line = r"notes\.txt: not a study: got a file of something"
    with pytest.raises(StudyError, match=line):
        open_study(str(place), "{}", False)
    with pytest.raises(StudyError, match=line):
        repair_journal(str(place))
    assert place.read_bytes() == content
    assert os.listdir(tmp_path) == ["notes.txt"]
