# SPDX-License-Identifier: Apache-2.0
"""Trials whose process is gone: found by the others, and made again in the same search.

A trial says which process runs it. On the same machine that process is looked up; of another
machine a trial is lost when it takes ten times as long as any that was finished. One that nobody
says to run was taken out of the queue by a process that died at once: it is lost after a moment,
whoever had queued it. Whoever is only slow finds it taken and goes on (`Searcher.step`).
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

OWNER, QUEUED, REPEATS = "owner", "queued", "repeats"
LEAST_LIMIT_S, TIMES_THE_LONGEST = 600.0, 10.0
UNOWNED_S = 10.0  # between taking a trial and saying so
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def here() -> list[Any]:
    """This process: machine, number, and the time in seconds.

    A trial has it as QUEUED, of the process that put it into the queue, and as OWNER, of the one
    that took it out and runs it.
    """
    return [socket.gethostname(), os.getpid(), time.time()]


def is_lost(trial: FrozenTrial, finished: list[FrozenTrial], in_vain: bool = False) -> bool:
    """Whether nobody will tell a running trial's values. Ask between trials of this process.

    Args:
      finished: trials of the study.
      in_vain: this process took a trial out of the queue and got no answer.
    """
    if OWNER not in trial.user_attrs:
        host, process, _ = trial.user_attrs.get(QUEUED, ("", 0, 0.0))
        mine = host == socket.gethostname() and process == os.getpid()
        begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return (mine and in_vain) or time.time() - begun > UNOWNED_S
    host, process, since = trial.user_attrs[OWNER]
    if host == socket.gethostname():
        return process == os.getpid() or not _alive(process)
    longest = max((t.duration.total_seconds() for t in finished if t.duration), default=0.0)
    return bool(time.time() - since > max(LEAST_LIMIT_S, TIMES_THE_LONGEST * longest))


def waits_for_anyone(trial: FrozenTrial) -> bool:
    """Whether a queued trial is to be made next: a lost one, or one whose process will not ask."""
    if trial.state is not TrialState.WAITING:
        return False
    host, process, _ = trial.user_attrs.get(QUEUED, ("", 0, 0.0))
    gone = process == os.getpid() or not _alive(process)
    return REPEATS in trial.user_attrs or (host == socket.gethostname() and gone)


def _alive(process: int) -> bool:
    """Whether a process of this machine runs; one that ended and was not waited for does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def repeat_lost(study: optuna.Study, parameters: set[str], in_vain: bool = False) -> int:
    """Fails the lost trials and puts them into the queue again; whoever asks next gets them.

    Args:
      parameters: of a trial; one that has not all of them had not begun.
      in_vain: see `is_lost`.

    Returns:
      How many.
    """
    trials = study.get_trials(deepcopy=False)
    finished = [t for t in trials if t.state in FINISHED]
    running = [t for t in trials if t.state is TrialState.RUNNING]
    return sum(_repeat(study, t, parameters) for t in running if is_lost(t, finished, in_vain))


def repeat_all(study: optuna.Study, parameters: set[str]) -> int:
    """The same for all that run; call it when no worker does."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return sum(_repeat(study, t, parameters) for t in running)


def _repeat(study: optuna.Study, trial: FrozenTrial, parameters: set[str]) -> bool:
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, RuntimeError):  # its process, or another one that found it, was quicker
        return False
    if trial.params.keys() == parameters:
        requeue(study, trial.params, trial.number)
    return True


def requeue(study: optuna.Study, params: dict[str, Any], number: int) -> None:
    """The next `ask` gets these parameters; `number` is the trial that they are of."""
    study.enqueue_trial(params, user_attrs={REPEATS: number, QUEUED: here()})
