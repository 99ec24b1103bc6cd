# SPDX-License-Identifier: Apache-2.0
"""Studies on a real PostgreSQL server: workers share one, die, and the server is restarted."""

import os
import signal
import threading
import time

import pytest
from optuna.trial import TrialState

from nas.search import lost
from nas.search.storage import StudyError, open_study
from nas.search.study import evaluated
from tests.nas.search.postgresql import programs, started_server
from tests.nas.search.test_search import accuracy, results, searcher
from tests.nas.search.test_storage import _hang, start, until

pytestmark = pytest.mark.skipif(not programs(), reason="needs Debian's package postgresql")


@pytest.fixture(scope="module")
def server():
    with started_server() as found:
        yield found


def _steady(config):
    time.sleep(0.05)
    return accuracy(config)


def test_a_study_survives_a_killed_worker_and_a_restart_of_the_server(server, capsys):
    """With the same seed and one worker it would be what a file's study is; here two share it."""
    study = open_study(server.url, "setup", False)
    hanging = start(server.url, 1, 100, _hang)

    def claimed():
        running = study.get_trials(states=(TrialState.RUNNING,))
        return [t for t in running if lost.OWNER in t.user_attrs]

    until(lambda: evaluated(study.get_trials()) and claimed())
    (running,) = claimed()
    os.kill(hanging.pid, signal.SIGKILL)
    until(lambda: lost.is_lost(running, []))

    s = searcher(server.url, resume=True, score=_steady)
    before = len(evaluated(study.get_trials()))
    search = threading.Thread(target=s.run, args=(14,))
    search.start()
    until(lambda: len(evaluated(study.get_trials())) > before + 1)
    server.stop()
    time.sleep(2.0)  # the search meets a server that is not there
    server.start()
    search.join(120)
    assert not search.is_alive()
    hanging.join(60)

    trials = searcher(server.url, resume=True).study.get_trials()
    assert trials[running.number].state is TrialState.FAIL
    assert running.number in [t.user_attrs.get(lost.REPEATS) for t in trials]
    assert len(results(s)) == 14
    assert not [t for t in trials if t.state is TrialState.RUNNING]
    assert "does not answer" in capsys.readouterr().err


def test_another_setup_and_a_server_that_is_gone_are_one_line(server):
    with pytest.raises(StudyError, match="a search with another"):
        open_study(server.url, '{"seed": 1}', True)
    server.stop()
    try:
        with pytest.raises(StudyError, match="the database does not answer") as caught:
            open_study(server.url, "setup", True)
        assert "\n" not in str(caught.value)
    finally:
        server.start()
