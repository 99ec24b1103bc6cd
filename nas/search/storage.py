# SPDX-License-Identifier: Apache-2.0
"""Where a study is kept: a journal file, safe for several processes, or a database by its URL.

A database that restarts is waited for; one that is not there is one line.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import optuna
import sqlalchemy.exc
from optuna.storages.journal import JournalFileBackend

from nas.search.journal_lock import journal_lock
from nas.space.setup import different
from tflm_vit.files import opened, reading

STUDY, SETUP = "search", "setup"
STUDY_FILE = "study.log"  # in the folder of a search, where no other place is given
PATIENCE_S = 120.0  # how long a storage may be silent within a search
STORAGE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)
_ENTRY = b'{"op_code":'  # what every line of a journal begins with
Result = TypeVar("Result")

optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings repeat a database's error whole


class StudyError(ValueError):
    """A storage that cannot be used; the message says why and what to do."""


def shown(place: str) -> str:
    """A place as it may be printed: without what stands before a host, a user and a password."""
    return re.sub(r"://.*@", "://", place)


def first_line(error: BaseException) -> str:
    """What an exception says, without the lines that explain it."""
    cause = error.__cause__ or error  # of the database itself
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__


def open_storage(place: str) -> Any:
    """A database by URL, else a journal file.

    Raises:
      StudyError: the URL is none, its driver is missing, or nobody answers; a file that is no
        journal, to whose end Optuna would write.
    """
    if "://" in place:
        return _database(place)
    _expect_journal(place)
    os.makedirs(os.path.dirname(os.path.abspath(place)), exist_ok=True)
    return optuna.storages.JournalStorage(JournalFileBackend(place, journal_lock(place)))


def _expect_journal(place: str) -> None:
    """Refuses a file of something else; a kill may have cut off a journal's first line."""
    if not os.path.exists(place):
        return
    with opened(place) as file:
        begin = file.read(len(_ENTRY))
    if begin != _ENTRY[: len(begin)]:
        raise StudyError(
            f"{place}: not a study: got a file of something else, which is left as it is; give a "
            "journal of nas.search, or a name that is free"
        )


def _database(place: str) -> Any:
    def refused(why: str, expected: str, error: BaseException) -> StudyError:
        return StudyError(f"{shown(place)}: not a study: {why} ({first_line(error)}); {expected}")

    try:
        # A connection that broke is made again before it is used.
        return optuna.storages.RDBStorage(place, engine_kwargs={"pool_pre_ping": True})
    except ImportError as error:
        raise refused(
            "the driver of that database is not installed",
            "install its Python package, for example psycopg2-binary or PyMySQL",
            error,
        ) from error
    except sqlalchemy.exc.ArgumentError as error:
        raise refused(
            "no URL of a database",
            "expected a journal file, or one like postgresql://user:password@host/database",
            error,
        ) from error
    except STORAGE_ERRORS as error:
        raise refused(
            "the database does not answer",
            "expected one that runs, and a user who may write to it",
            error,
        ) from error


def open_study(place: str, setup: str, resume: bool) -> optuna.Study:
    """Creates the study, or goes on with it.

    Args:
      setup: JSON of what must not change.
      resume: an existing study is wanted; otherwise it is an error.

    Raises:
      StudyError: it exists and `resume` is not given, it was made with another setup, or the
        storage cannot be used.
    """
    with reading(shown(place), "a study", StudyError):
        study = optuna.create_study(
            storage=open_storage(place),
            study_name=STUDY,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        before = study.user_attrs.get(SETUP)
    if before is None:
        study.set_user_attr(SETUP, setup)
    elif other := different(before, setup):
        raise StudyError(
            f"{shown(place)}: a search with another {', '.join(other)}; give the same or another "
            "--out"
        )
    elif not resume:
        raise StudyError(
            f"{shown(place)}: exists; give --resume to go on with it, or another --out"
        )
    return study


def repair_journal(place: str) -> int:
    """Removes the line that a machine losing power left unfinished at the end of a journal file.

    Optuna reads around it, but the next entry would be joined to it and the journal be lost. Call
    it when no worker runs, before `open_study`; databases need none.

    Returns:
      Bytes removed.

    Raises:
      StudyError: a file that is no journal.
    """
    if "://" in place or not os.path.exists(place):
        return 0
    _expect_journal(place)
    with opened(place) as file:
        content = file.read()
    with open(place, "r+b") as file:
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
    return len(content) - whole


def patiently(function: Callable[[], Result], patience_s: float = PATIENCE_S) -> Result:
    """Calls `function` until the storage answers.

    Raises:
      StudyError: it was silent for that long.
    """
    silent_since: float | None = None
    delay = 0.1
    while True:
        try:
            return function()
        except STORAGE_ERRORS as error:
            now = time.monotonic()
            if silent_since is None:
                silent_since = now
                print(
                    f"the study's database does not answer ({first_line(error)}): waiting for it",
                    file=sys.stderr,
                )
            if now - silent_since > patience_s:
                raise StudyError(
                    f"the study's database did not answer for {patience_s:g} s "
                    f"({first_line(error)}); go on with --resume when it does"
                ) from error
            time.sleep(delay)
            delay = min(5.0, 2 * delay)
