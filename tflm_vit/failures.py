# SPDX-License-Identifier: Apache-2.0
"""Which exceptions a file, a folder, a value or the machine can cause, and one line for each."""

from __future__ import annotations

import csv
import struct
import tokenize
import zipfile
import zlib

from tflm_vit.installed import ROOMS, missing_line

# An exception that this toolkit defines says what was got and what to do.
_ROOMS = frozenset(("benchmarks", *ROOMS))
# Of a library that is perhaps not installed: known by the name of its package.
_LIBRARIES = frozenset({"PIL", "h5py", "optuna", "sqlalchemy", "psycopg2", "pymysql", "serial"})
# What decoders raise on damaged bytes, besides ValueError.
DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    RecursionError,
    OverflowError,
    csv.Error,
    struct.error,
    tokenize.TokenError,  # of the head of a .npy
    zipfile.BadZipFile,
    zlib.error,
)

NO_MEMORY_TO_START = "not enough memory for the libraries that it loads"
# What the loader of shared libraries says under a limit of memory (`ulimit -v`).
_LOADER = ("failed to map segment", "annot allocate memory", "bad_alloc")


def cannot_load(error: BaseException) -> bool:
    """Whether a library was not loaded since there is not enough memory for it."""
    of_loader = isinstance(error, OSError | ImportError) and not getattr(error, "errno", None)
    return of_loader and any(words in str(error) for words in _LOADER)


def failure_line(error: BaseException, command: str = "") -> str | None:
    """What a command says of an exception; None for one that is a defect of this toolkit."""
    if isinstance(error, AssertionError) or not isinstance(error, Exception):
        return None
    if cannot_load(error):
        return NO_MEMORY_TO_START
    if isinstance(error, OSError):
        path = error.filename2 or error.filename  # of a copy: the destination
        return one_line(f"{path}: {error.strerror}" if path else str(error) or reason(error))
    if isinstance(error, ValueError) or _package(error) in _ROOMS:
        return one_line(str(error)) or type(error).__name__
    if isinstance(error, ModuleNotFoundError):
        return missing_line(error.name or str(error), command)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return reason(error)
    if isinstance(error, DAMAGE) or _package(error) in _LIBRARIES:
        return reason(error)
    return None


def is_damage(error: BaseException) -> bool:
    """Whether an exception, raised while a file was decoded, says that the file is damaged."""
    # A decoder looks up names and reads fields that a damaged file lacks.
    looked_up = (
        AssertionError,
        LookupError,
        TypeError,
        AttributeError,
        NotImplementedError,
        SyntaxError,
    )
    known = (*DAMAGE, *looked_up, ValueError, OSError, MemoryError)
    return isinstance(error, known) or _package(error) in _LIBRARIES


def reason(error: BaseException) -> str:
    """An exception of a library as part of a line."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"not enough memory{f': {text}' if text else ''}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, KeyError):
        return f"{text} is missing"
    if isinstance(error, OverflowError):
        return f"a number is out of range: {text}"
    return text or type(error).__name__


def one_line(text: str) -> str:
    """A message without its line breaks."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _package(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]
