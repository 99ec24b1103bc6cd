# SPDX-License-Identifier: Apache-2.0
"""Commands end with one line and a status, whatever the user, a file or the machine does."""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from converter.tflite import TfliteError
from firmware.errors import FirmwareError
from tflm_vit import run
from tflm_vit.flag_set import FlagSet

ROOT = Path(__file__).parents[2]


class OtherError(Exception):
    pass


def ended(body: Callable[[], object], words: tuple[str, ...] = ()) -> object:
    """Exit status of a command "name" with that body."""
    with pytest.raises(SystemExit) as found:
        run.run(FlagSet("name", "Does it."), body, words)
    return found.value.code


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As in a terminal; a shell's background jobs, and what they start, ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def raising(error: BaseException) -> Callable[[], object]:
    def body() -> object:
        raise error

    return body


LINES = [
    (ValueError("bad value"), "bad value"),
    (ValueError("two\n  lines"), "two; lines"),
    (TfliteError("x.tflite: bad"), "x.tflite: bad"),
    (FirmwareError("no board"), "no board"),
    (OSError(errno.ENOSPC, "No space", "out.bin"), "out.bin: No space"),
    (OSError(errno.ENOSPC, "No space", "from", 0, "to"), "to: No space"),
    (OSError("no number"), "no number"),
    (MemoryError(), "not enough memory"),
    (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
    (zipfile.BadZipFile("Bad CRC-32"), "Bad CRC-32"),
    (struct.error("unpack requires 4 bytes"), "unpack requires 4 bytes"),
    (EOFError(), "EOFError"),
    (OverflowError("too large"), "a number is out of range: too large"),
    (ModuleNotFoundError("No module", name="psycopg2"), "needs the Python package 'psycopg2'"),
]


@pytest.mark.parametrize(("error", "line"), LINES, ids=[type(e).__name__ for e, _ in LINES])
def test_what_a_user_can_cause_is_one_line(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(raising(error)) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"name: {line}")
    assert shown.count("\n") == 1


def test_errors_of_libraries_that_are_not_imported_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = type("OperationalError", (Exception,), {"__module__": "sqlalchemy.exc"})
    assert ended(raising(error("cannot connect\n(Background on this error)"))) == 1
    assert capsys.readouterr().err == "name: cannot connect\n"


@pytest.mark.parametrize("error", [OtherError("a defect"), AssertionError("so"), KeyError("x")])
def test_defects_are_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)):
        run.run(FlagSet("name", ""), raising(error), ())


def test_interrupt_has_the_status_that_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "\nname: interrupted\n"


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_that_a_library_turned_into_its_own_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def body() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(100)
        except KeyboardInterrupt:
            raise ImportError("numpy failed to import") from None

    assert ended(body) == 130
    assert capsys.readouterr().err == "\nname: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_in_a_destructor_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    class Slow:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass

    def body() -> None:
        Slow()
        time.sleep(100)

    started = time.monotonic()
    assert ended(body) == 130
    assert time.monotonic() - started < 50
    assert capsys.readouterr().err == "\nname: interrupted\n"


def test_bad_flags_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: None, ("x.tflite",)) == 2
    assert "unexpected argument 'x.tflite'" in capsys.readouterr().err
    assert ended(lambda: None, ("--wrong=1",)) == 2
    assert capsys.readouterr().err == "name: no flag --wrong; --help lists the flags\n"


def test_help_goes_to_standard_output_and_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(raising(OtherError()), ("--help",)) == 0
    assert capsys.readouterr().out.startswith("Does it.\n\nFlags:")


def script(body: str) -> list[str]:
    """A process that is the command "name"; it prints a line when it begins."""
    text = f"""
        import sys, time
        from tflm_vit.flag_set import FlagSet
        from tflm_vit.run import run

        def body():
            {textwrap.indent(textwrap.dedent(body), " " * 12).strip()}

        run(FlagSet("name", "Does it."), body)
    """
    return [sys.executable, "-c", textwrap.dedent(text)]


def test_a_reader_that_goes_away_is_no_error_of_the_command() -> None:
    command = subprocess.Popen(
        script("for i in range(100000): print(i)"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert command.stdout is not None
    assert command.stdout.readline() == "0\n"
    command.stdout.close()
    assert command.stderr is not None
    assert command.stderr.read() == ""
    assert command.wait() == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_standard_output_on_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            script("print('x')"), cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.stderr == "name: [Errno 28] No space left on device\n"
    assert done.returncode == 1


def test_background_jobs_of_a_shell_ignore_interrupts() -> None:
    process = subprocess.Popen(
        script("print('begun', flush=True); time.sleep(1); print('done')"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()
    assert (process.returncode, out, errors) == (0, "done\n", "")


def test_a_recorded_command_names_no_folder_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--data_dir=/home/me/data/cifar10/", "--out", "/scratch/run", "--set=a=0.5", "--x=b/c"]
    monkeypatch.setattr("sys.argv", ["train.py", *words])
    expected = "python -m m --data_dir=cifar10/ --out run --set=a=0.5 --x=b/c"
    assert run.typed_command("m") == expected


def test_garbage_is_collected_once_everything_is_imported() -> None:
    text = """
        import gc
        from tflm_vit import start
        start.command("name")
        before = gc.isenabled()
        start.imported()
        print(before, gc.isenabled())
    """
    words = [sys.executable, "-c", textwrap.dedent(text)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
