# SPDX-License-Identifier: Apache-2.0
"""Runs the core as Windows would have it: without POSIX modules and functions, with its line ends.

    python windows_process.py MODEL FOLDER

Not Windows: paths have slashes here. `test_windows` compares what this writes with the usual.
"""

from __future__ import annotations

import builtins
import io
import os
import pathlib
import select
import signal
import sys
from typing import Any

MISSING = {
    "fcntl", "grp", "posix_ipc", "pty", "pwd", "readline", "resource", "spwd", "syslog", "termios",
    "tty", "_posixsubprocess",
}  # fmt: skip
FUNCTIONS = (
    "chown", "fork", "forkpty", "geteuid", "getpgid", "getuid", "killpg", "mkfifo", "nice",
    "posix_spawn", "pread", "sched_getaffinity", "setsid", "statvfs", "sysconf", "uname", "wait3",
)  # fmt: skip
SIGNALS = ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "pthread_sigmask", "setitimer", "alarm")


class Missing:
    """Refuses to import what Windows lacks."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide() -> None:
    """From here on this process has what Windows has."""
    for name in MISSING:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Missing())  # type: ignore[arg-type]
    for name in FUNCTIONS:
        if hasattr(os, name):
            delattr(os, name)
    for name in SIGNALS:
        if hasattr(signal, name):
            delattr(signal, name)
    del select.poll
    usual = io.open

    def opened(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if "b" not in mode and len(rest) < 4 and named.get("newline") is None:
            named["newline"] = "\r\n" if set(mode) & set("wax") else None
        return usual(file, mode, *rest, **named)

    builtins.open = io.open = opened  # type: ignore[assignment]
    if hasattr(pathlib, "io"):  # before Python 3.13
        pathlib.io.open = opened


def console(model: str, out: pathlib.Path) -> None:
    """The same with what a user types."""
    from tflm_vit import command

    fused = out / "typed.tflite"
    for words in (
        ["fuse", f"--model={model}", f"--out={fused}"],
        ["plan", f"--model={fused}", f"--out={out / 'typed_plan.tflite'}"],
        ["inspect", f"--model={fused}", f"--json={out / 'typed.json'}"],
        ["compile", f"--model={fused}", f"--out={out / 'typed_c'}"],
        ["export", f"--model={fused}", "--format=library", "--name=net", "--nocheck",
         f"--out={out / 'typed_library'}"],
    ):  # fmt: skip
        sys.argv = ["tflm-vit", *words]
        command.main()


def main(model: str, folder: str, hidden: bool) -> None:
    if hidden:
        # Those of other people know where they are: what they have on Linux stays.
        import subprocess  # noqa: F401

        import flatbuffers  # noqa: F401
        import numpy  # noqa: F401
        from absl import flags  # noqa: F401

        hide()
    import tflm_vit

    out = pathlib.Path(folder)
    fused = tflm_vit.fuse(pathlib.Path(model).read_bytes())
    planned = tflm_vit.plan(fused.model_bytes)
    (out / "fused.tflite").write_bytes(planned.model_bytes)
    (out / "seen.txt").write_bytes(repr(tflm_vit.inspect(planned.model_bytes)).encode())
    for file in tflm_vit.compile(planned.model_bytes).files:
        (out / file.name).write_bytes(file.content)
    for form in ("cmake", "stm32cubeide", "library"):
        tflm_vit.export(planned.model_bytes, out / form, format=form, name="net", check=False)
    console(model, out)
    posix = {name for name in MISSING if sys.modules.get(name) is not None}
    assert not hidden or not posix - {"_posixsubprocess"}, posix


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:] == ["--hidden"])
