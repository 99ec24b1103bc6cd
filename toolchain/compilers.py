# SPDX-License-Identifier: Apache-2.0
"""Finds compilers, knows what their output depends on, and says in one line why they failed."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from toolchain.errors import ToolchainError

CROSS_PREFIX = "arm-none-eabi-"
_LOOK_EVERY_S = 0.2
_SECONDS = 600
_DETAILS_BYTES = 4000
_ERROR_MARKS = (
    "overflowed by",
    "error:",
    "undefined reference",
    "multiple definition",
    "syntax error",
    "Error:",
    "warning:",
)


@dataclasses.dataclass(frozen=True)
class Compiler:
    """A compiler.

    Attributes:
      path: of the program.
      says: its answer to --version.
    """

    path: str
    says: str

    @property
    def version(self) -> str:
        """What identifies its output; part of every key."""
        return f"{Path(self.path).name}\n{self.says}"


def host_c() -> Compiler:
    """The host's C compiler: $CC, or the first of cc, gcc and clang.

    Raises:
      ToolchainError: there is none; the message says what to install.
    """
    return _host("CC", ("cc", "gcc", "clang"), "C", "gcc")


def host_cxx() -> Compiler:
    """The host's C++ compiler: $CXX, or the first of c++, g++ and clang++.

    Raises:
      ToolchainError: there is none; the message says what to install.
    """
    return _host("CXX", ("c++", "g++", "clang++"), "C++", "g++")


def _host(variable: str, names: Sequence[str], language: str, package: str) -> Compiler:
    named = os.environ.get(variable)
    for name in (named,) if named else names:
        path = shutil.which(name)
        if path is not None:
            return _identified(path)
    looked = f"${variable}, {named!r}" if named else f"{', '.join(names)} on PATH"
    raise ToolchainError(
        f"no {language} compiler: looked for {looked}; install one (Debian: apt-get install "
        f"{package}) or name it in ${variable}"
    )


def cross_tool(name: str) -> Compiler:
    """`arm-none-eabi-<name>`, e.g. gcc, with the version it says.

    Raises:
      ToolchainError: it is missing; the message names the package to install.
    """
    path = shutil.which(CROSS_PREFIX + name)
    if path is None:
        raise ToolchainError(
            f"{CROSS_PREFIX}{name} not found; install the cross compiler "
            "(Debian: apt install gcc-arm-none-eabi)"
        )
    return _identified(path)


def _identified(path: str) -> Compiler:
    """With the version; asked again when the program behind the path is another one."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise ToolchainError(f"{path}: does not run: {error.strerror}") from error
    return _version(path, status.st_mtime_ns, status.st_size)


@functools.cache
def _version(path: str, modified_ns: int, size_bytes: int) -> Compiler:
    text = run_tool([path, "--version"], "asking the compiler's version")
    return Compiler(path, text)


@functools.cache
def processor() -> str:
    """What code made with `-march=native` depends on, besides the compiler."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    told = [x for x in lines if x.lower().startswith(("model name", "flags", "features"))]
    return "\n".join([platform.machine(), *told[:2]])


def run_tool(
    command: Sequence[str],
    what: str,
    directory: Path | None = None,
    stopped: Callable[[], bool] | None = None,
) -> str:
    """Runs a tool in `directory`; returns its output.

    Args:
      stopped: asked while it runs; where it says so, the tool is ended. For tools that are started
        beside the main thread, which alone learns of Ctrl-C.

    Raises:
      ToolchainError: it does not run, failed or was stopped: with its first error line, and all in
        `details`.
    """
    try:
        result = _run(command, directory, stopped)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{what}: {command[0]} does not run: {error}") from error
    if result.returncode != 0:
        raise ToolchainError(
            f"{what}: {Path(command[0]).name} failed: {first_error(result.stderr)}",
            details=result.stderr.strip()[:_DETAILS_BYTES],
        )
    return result.stdout


def _run(
    command: Sequence[str], directory: Path | None, stopped: Callable[[], bool] | None
) -> subprocess.CompletedProcess[str]:
    pipe, end = subprocess.PIPE, time.monotonic() + _SECONDS
    # In English, as it is read here, and the same for every user; names may be any bytes.
    environment = {**os.environ, "LC_ALL": "C"}
    how: dict[str, Any] = {
        "cwd": directory,
        "env": environment,
        "encoding": "utf-8",
        "errors": "replace",
    }
    if stopped is None:
        return subprocess.run(
            command, stdout=pipe, stderr=pipe, check=False, timeout=_SECONDS, **how
        )
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, **how) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=_LOOK_EVERY_S)
                return subprocess.CompletedProcess(command, process.returncode, output, errors)
            except subprocess.TimeoutExpired:
                if stopped() or time.monotonic() > end:
                    process.kill()
                    raise


def first_error(text: str) -> str:
    """The line of a tool's output that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for mark in _ERROR_MARKS:
        for line in lines:
            if mark in line:
                return line
    return lines[-1] if lines else "no message"
