# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C is one line and status 130 at any moment, while a command imports TensorFlow too."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tflm_vit import interrupt, start
from tflm_vit.command import VERBS

ROOT = Path(__file__).parents[2]

# Imports that a command waits for: what it says when it begins, so that the signal comes then.
HOOK = """
import importlib.abc, os, sys, time

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {name!r} and not os.path.exists({mark!r}):
            open({mark!r}, "w").close()
            end = time.monotonic() + 120
            while time.monotonic() < end:
                pass
        return None

sys.meta_path.insert(0, Slow())
"""


def _words(module: str) -> list[str]:
    if module == "converter.quantize":
        return ["--network=test_tiny", "--weights=random", "--dataset=digits", "--out={out}"]
    return []


# What each command imports, and TensorFlow where it is imported in the command's body.
MOMENTS = [
    *((f"-m {verb.module.removesuffix('.__main__')}", "numpy") for verb in VERBS),
    ("-m nas.search", "optuna"),
    ("-m converter.quantize", "keras"),
    ("-m tflm_vit search", "optuna"),
    ("-m tflm_vit plan", "absl"),
]


def interrupted_while_importing(
    command: list[str], name: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """A command that gets Ctrl-C while it imports a package."""
    mark = folder / "mark"
    (folder / "sitecustomize.py").write_text(HOOK.format(name=name, mark=str(mark)))
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell starts its background jobs with interrupts ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    end = time.monotonic() + 300
    while not mark.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


@pytest.mark.parametrize(("command", "name"), MOMENTS)
def test_ctrl_c_during_imports(tmp_path: Path, command: str, name: str) -> None:
    words = [a.format(out=tmp_path / "out.tflite") for a in _words(command.split()[1])]
    done = interrupted_while_importing([*command.split(), *words], name, tmp_path)
    assert done.returncode == 130
    said = command.replace(".", " ").split()[-1]
    assert done.stderr == f"\n{said}: interrupted\n"
    left = {p.name for p in tmp_path.iterdir()}
    assert left <= {"mark", "sitecustomize.py", "__pycache__"}


def test_a_library_leaves_signals_alone() -> None:
    text = (
        "import converter, nas, firmware, keras_models, signal; "
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_memory_that_does_not_hold_the_libraries_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ulimit -v 300000` is such: the loader's error comes from an import."""
    lacking = OSError("libLiteRt.so: failed to map segment from shared object")
    for error in (lacking, MemoryError(), ImportError("x.so: cannot allocate memory")):
        with monkeypatch.context() as patch:
            patch.setattr(os, "_exit", sys.exit)  # half-loaded libraries crash at another end
            with pytest.raises(SystemExit, match="1"):
                start._cannot_start("fuse", type(error), error, None)
        line = "fuse: not enough memory for the libraries that it loads\n"
        assert capsys.readouterr().err == line
    start._cannot_start("fuse", ImportError, ImportError("no such name"), None)
    assert "ImportError: no such name" in capsys.readouterr().err


@pytest.mark.parametrize("megabytes", [240, 265, 300])
def test_a_limit_of_memory_is_one_line(tmp_path: Path, megabytes: int) -> None:
    """At each of these another library fails, OpenBLAS by exit(1) or by sending itself SIGINT."""
    bytes_ = megabytes << 20
    done = subprocess.run(
        [sys.executable, "-m", "converter.fuse", "--model=none", f"--out={tmp_path / 'out'}"],
        cwd=ROOT, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("fuse: ")
    assert done.stderr.count("\n") == 1
    assert "not enough memory" in done.stderr or "No such file" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("starved", [True, False])
def test_sigint_where_memory_is_used_up_is_no_interrupt(
    monkeypatch: pytest.MonkeyPatch, starved: bool
) -> None:
    monkeypatch.setattr(interrupt, "_is_starved", lambda: starved)
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def signalled() -> None:
        with interrupt.raising():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    with pytest.raises(MemoryError if starved else KeyboardInterrupt):
        signalled()
    assert interrupt.interrupted() is not starved
