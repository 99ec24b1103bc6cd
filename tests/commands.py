# SPDX-License-Identifier: Apache-2.0
"""Runs a command in this process, which has imported TensorFlow already.

A process of its own takes about five seconds of CPU time for that. Every command that uses
TensorFlow has a test that starts it by `python -m` nevertheless.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO
from unittest import mock


@contextlib.contextmanager
def _streams() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Standard output and error, also what libraries write to the descriptors."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        kept = os.dup(1), os.dup(2)
        texts = [io.TextIOWrapper(os.fdopen(os.dup(f.fileno()), "wb")) for f in (out, errors)]
        os.dup2(out.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        try:
            with mock.patch.multiple(sys, stdout=texts[0], stderr=texts[1]):
                yield out, errors
        finally:
            for text in texts:
                text.close()
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)


def run_here(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What `python -m module words` does, without the imports' time; status, output and errors."""
    found = importlib.util.find_spec(module)
    assert found is not None, module
    package = found.submodule_search_locations is not None
    handler, status = signal.getsignal(signal.SIGINT), 0
    command = importlib.import_module(f"{module}.__main__" if package else module)
    with _streams() as (out, errors):
        try:
            with mock.patch.object(sys, "argv", [module, *words]):
                command.main(list(words))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):  # as the interpreter does
                print(end.code, file=sys.stderr)
        finally:
            signal.signal(signal.SIGINT, handler)
            sys.stdout.flush()
            sys.stderr.flush()
        texts = []
        for stream in (out, errors):
            stream.seek(0)
            texts.append(stream.read().decode())
    return subprocess.CompletedProcess([module, *words], status, *texts)
