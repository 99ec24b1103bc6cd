# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any


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
