# SPDX-License-Identifier: Apache-2.0
"""What all commands share: one line for an error, files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

_INTERRUPTED = 130  # 128 + SIGINT, what a shell expects


def run(
    name: str,
    argv: Sequence[str],
    body: Callable[[], None],
    errors: tuple[type[Exception], ...] = (),
) -> None:
    """Runs the body of a command; bad input or Ctrl-C end it with one line on standard error.

    Args:
      name: what the line begins with.
      argv: of absl's `main`: only the program's name, as these commands take flags only.
      body: what the command does; has removed its temporary files when it raises.
      errors: exceptions that are bad input, besides ValueError and OSError.
    """
    if len(argv) > 1:
        sys.exit(f"{name}: unexpected argument {argv[1]!r}; expected flags only, --help lists them")
    bad_input: tuple[type[Exception], ...] = (ValueError, *errors)
    try:
        body()
    except OSError as error:
        path = error.filename2 or error.filename  # of a copy: the destination
        sys.exit(f"{name}: {path}: {error.strerror}" if path else f"{name}: {error}")
    except bad_input as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)


def typed_command(module: str) -> str:
    """This process as `python -m module flags`, for a record of how a result was made.

    Absolute paths are shortened to their last part: they say nothing on another machine.
    """
    words = [re.sub(r"(^|=)/(?:[^/]+/)*(?=[^/]+/*$)", r"\1", word) for word in sys.argv[1:]]
    return shlex.join(["python", "-m", module, *words])


def expect_writable(*paths: str | None) -> None:
    """Raises OSError for a file that could not be written; before the work, not after it.

    Args:
      paths: files to be written later; None and "" are passed over. Missing folders are made.
    """
    for path in paths:
        if not path:
            continue
        if os.path.isdir(path):
            raise IsADirectoryError(0, "got a folder, expected the name of a file", path)
        folder = os.path.dirname(os.path.abspath(path))
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(0, "cannot write into this folder", folder)


def expect_writable_folder(path: str) -> None:
    """Raises OSError for a folder that could not be made or written into; makes nothing."""
    existing = os.path.abspath(path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise NotADirectoryError(0, "got a file, expected a folder", existing)
    if not os.access(existing, os.W_OK):
        raise PermissionError(0, "cannot write into this folder", existing)


def write_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file completely or not at all; its folder is made if it is missing.

    Raises:
      OSError: with the name of the file.
    """
    temporary = ""
    try:
        folder = os.path.dirname(os.path.abspath(path))
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".partial-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only the owner can read
        os.replace(temporary, path)
    except BaseException as error:
        if temporary:
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            # Under the file's own name, not the temporary one nor none at all.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """The same for JSON, with a newline at the end."""
    write_atomic(path, (json.dumps(value, indent=2) + "\n").encode())
