# SPDX-License-Identifier: Apache-2.0
"""Under a limit of memory a library's abort is one line, and everything else is as without."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BYTES = 1 << 30


def _begun(limit: int) -> None:
    """A limit of memory; Ctrl-C counts even where a shell began the tests behind `&`."""
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(body: str, limit: int = _BYTES) -> subprocess.Popen[str]:
    """A command whose body is Python code."""
    text = (
        "import os, signal, sys, time\n"
        "from tflm_vit import flags, start\n"
        "from tflm_vit.run import run\n"
        f"def body():\n    {body}\n"
        "start.command('some')\n"
        "run(flags.FlagSet('some', 'Some.'), body)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", text], cwd=ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: _begun(limit),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGBUS"])
def test_a_library_s_end_is_one_line(name: str) -> None:
    said = "os.write(2, b'LLVM ERROR: pthread_create failed\\n')"
    child = started(f"print('begun'); {said}; os.kill(os.getpid(), signal.{name})")
    out, errors = child.communicate()
    assert errors == (
        "some: not enough memory: got a limit of 1024 MB (ulimit -v), under which a library ended "
        f"with {name}; give more, TensorFlow takes 4000 and more\n"
    )
    assert child.returncode == 1
    assert out in ("", "begun\n")


@pytest.mark.parametrize(
    ("body", "status", "errors"),
    [
        ("print('done')", 0, ""),
        ("raise ValueError('got 1, expected 2')", 1, "some: got 1, expected 2\n"),
        ("raise MemoryError", 1, "some: not enough memory\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
    ],
)
def test_the_status_is_the_command_s(body: str, status: int, errors: str) -> None:
    child = started(body)
    _, said = child.communicate()
    assert (child.returncode, said) == (status, errors)


@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "kill"])
def test_ctrl_c_reaches_the_command(to_all: bool) -> None:
    """Sent to the group the child has it already; from `kill` it is handed on."""
    child = started("print('begun', flush=True); time.sleep(60)")
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    time.sleep(0.1)
    if to_all:
        os.killpg(child.pid, signal.SIGINT)
    else:
        child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 130
    assert errors.strip() == "some: interrupted"


def test_the_child_does_not_outlive_the_command() -> None:
    child = started("print(os.getpid(), flush=True); time.sleep(60)")
    assert child.stdout is not None
    inner = int(child.stdout.readline())
    assert inner != child.pid
    child.kill()
    child.communicate()
    for _ in range(100):
        if not Path(f"/proc/{inner}").exists():
            return
        time.sleep(0.05)
    raise AssertionError("the child still runs")
