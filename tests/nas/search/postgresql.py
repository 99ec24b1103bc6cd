# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of a test's own, from Debian's package: a folder, a socket in it, no port."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

USER = "postgres"  # of the database, and of the machine where the test is run by root


def programs() -> str:
    """The folder of the newest installed server's programs; "" without one."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    newest = max(found, key=lambda path: float(path.split("/")[4]), default="")
    return os.path.dirname(newest)


@dataclasses.dataclass(frozen=True)
class Server:
    """A running one.

    Attributes:
      folder: with its data, its log and its socket.
    """

    folder: str

    @property
    def url(self) -> str:
        """Of an empty database."""
        return f"postgresql+psycopg://{USER}@/{USER}?host={self.folder}"

    def control(self, *words: str) -> None:
        """pg_ctl, which waits until it is done."""
        _run("pg_ctl", "-w", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", *words)

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self.control("-o", options, "start")

    def stop(self) -> None:
        """At once, as a machine that loses power: connections break."""
        self.control("-m", "immediate", "stop")


def _run(program: str, *words: str) -> None:
    """As the user that PostgreSQL accepts, which is not root."""
    account = USER if os.getuid() == 0 else None
    done = subprocess.run(
        [f"{programs()}/{program}", *words], user=account, cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"{program} {' '.join(words)}: {done.stderr}")


@contextlib.contextmanager
def started_server() -> Iterator[Server]:
    """A new one; stopped and removed at the end."""
    folder = tempfile.mkdtemp(prefix="pg")  # short: a socket's path has 107 characters at most
    try:
        if os.getuid() == 0:
            os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
        _run("initdb", "-D", f"{folder}/data", "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8")
        server = Server(folder)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):  # a test may have stopped it
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
