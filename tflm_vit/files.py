# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, and damaged ones that are named."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any, NoReturn

from tflm_vit import leftovers
from tflm_vit.failures import failure_line, is_damage, reason

_PARTIAL = ".partial-"
_TEXT_LIMIT_BYTES = 256 * 2**20  # far above any file of this toolkit
_MOST_LINKS = 40  # as the kernel follows
_ARCHIVE_FREE_BYTES = 1 << 20  # of what an archive may unpack to beyond its own size


class FileError(ValueError):
    """A file is damaged, or is not what it should be; the message begins with its name."""


@contextlib.contextmanager
def reading(
    path: str | os.PathLike[str], what: str = "", error: type[Exception] = FileError
) -> Iterator[None]:
    """Around the decoding of a file: what it can cause becomes an error that names the file.

    Args:
      what: the file should be, e.g. "a checkpoint".
      error: raised for a damaged file.

    Raises:
      OSError: with the name of the file; it is missing, or cannot be read.
    """
    name = os.fspath(path)
    if os.path.exists(name) and not os.path.isdir(name):
        _expect_content(name)
    try:
        yield
    except Exception as found:
        if isinstance(found, ValueError | error) and str(found).startswith(name):
            raise  # says it already
        # EINVAL: the decoder was sent to a place that a file cannot have.
        if isinstance(found, OSError) and found.errno not in (None, errno.EINVAL):
            raise OSError(found.errno, found.strerror, name) from found
        if not is_damage(found):
            raise
        raise error(f"{name}: {f'not {what}: ' if what else ''}{reason(found)}") from found


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Around the work on a file: an error that is the user's begins with the file's name."""
    name = os.fspath(path)
    try:
        yield
    except OSError:
        raise
    except Exception as found:
        line = failure_line(found)
        if line is None or line.startswith(name):
            raise
        raise FileError(f"{name}: {line}") from found


def _expect_content(name: str) -> int:
    """Bytes of a file that can be read to an end: no folder, pipe, socket or device.

    Raises:
      OSError: with the file's name.
    """
    found = os.stat(name)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "got a folder, expected a file", name)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.ENXIO, "got a pipe, socket or device, expected a file", name)
    return found.st_size


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a file whose size is looked at before it is read.

    Raises:
      OSError: with the name of the file; it cannot be read, or is no file.
      FileError: it has more than `most` bytes.
    """
    name = os.fspath(path)
    size = _expect_content(name)
    if size > most:
        raise FileError(f"{name}: got {size} bytes, expected at most {most}")
    try:
        with open(name, "rb") as file:
            return file.read(most)
    except OSError as error:  # of reading, on a broken disk, it names nothing
        raise OSError(error.errno, error.strerror, name) from error


def opened(path: str | os.PathLike[str]) -> io.BufferedReader:
    """A file to read bytes of; a pipe, which may never give any, is refused.

    Raises:
      OSError: with the name of the file; it cannot be read, or is no file.
    """
    _expect_content(os.fspath(path))
    return open(path, "rb")


def read_text(path: str | os.PathLike[str], most: int = _TEXT_LIMIT_BYTES) -> str:
    """The same for UTF-8 text.

    Raises:
      OSError: as `read_bytes`. FileError: too large, or no text; its message begins with the name.
    """
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"{os.fspath(path)}: not a text file: {error}") from error


def checked_archive(path: str | os.PathLike[str]) -> str:
    """The path of a zip archive of numbers, which NumPy and Keras store as they are.

    Raises:
      ValueError: its entries unpack to more than the file has. zipfile.BadZipFile: damaged.
    """
    name = os.fspath(path)
    size = _expect_content(name)
    with zipfile.ZipFile(name) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > size + _ARCHIVE_FREE_BYTES:
        raise ValueError(f"its entries unpack to {unpacked} bytes, the file has {size}")
    return name


def read_json(
    path: str | os.PathLike[str], what: str = "", error: type[Exception] = FileError
) -> Any:
    """The content of a JSON file: numbers are finite, and whole ones have at most 64 bits.

    Raises:
      OSError: it cannot be read.
      error: it is not JSON, nested too deeply, or too large; see `reading`.
    """
    with reading(path, what, error):
        if (size := os.stat(path).st_size) > _TEXT_LIMIT_BYTES:
            raise ValueError(f"got {size} bytes, expected at most {_TEXT_LIMIT_BYTES}")
        with open(path, encoding="utf-8") as file:
            return parse_json(file.read())


def parse_json(text: str) -> Any:
    """The same for text.

    Raises:
      ValueError: it is not JSON, nested too deeply, or a number is out of range.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_integer)
    except json.JSONDecodeError as found:
        raise ValueError(f"not JSON: {found}") from found
    except RecursionError as found:
        raise ValueError(reason(found)) from found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"not JSON: {word} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:24]} is out of range")
    return value


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"the number {text[:24]} is out of range")
    return int(text)


def _expect_text(name: str) -> None:
    """HDF5, TensorFlow and generated text take names of files as UTF-8 alone."""
    if any("\ud800" <= c <= "\udfff" for c in name):
        raise FileError(f"{name}: got a name that is not UTF-8, expected one that is")


def followed(path: str | os.PathLike[str]) -> str:
    """Where something is put that is written under a name: a link stays, and leads to it.

    Raises:
      OSError: links that lead nowhere but to each other.
    """
    name = os.fspath(path)
    if not os.path.islink(name):
        return name
    place = os.path.realpath(name)
    if os.path.islink(place):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    return place


def _is_among_devices(name: str) -> bool:
    """Whether a name, or one that it leads to, stands where devices do."""
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(os.path.dirname(os.path.abspath(name)))
        if folder == "/dev" or (folder.startswith("/proc/") and folder.endswith("/fd")):
            return True
        if not os.path.islink(name):
            break
        name = os.path.join(folder, os.readlink(name))
    return False


def _expect_replaceable(name: str) -> None:
    """A file that is written whole takes the place of what is there: never that of a device, nor of
    a name among devices, as /dev/stdout is, whatever it leads to."""
    other = os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name)
    if other or _is_among_devices(name):
        raise OSError(
            errno.ENXIO, "got a pipe, socket or device, expected the name of a file", name
        )


def expect_writable(*paths: str | None) -> None:
    """Refuses a file that could not be written; before the work, not after it.

    Args:
      paths: files to be written later; None and "" are passed over. Missing folders are made.

    Raises:
      OSError: it cannot be written. FileError: its name is no UTF-8.
    """
    given = [path for path in paths if path]
    for path in given:
        if sum(os.path.realpath(path) == os.path.realpath(other) for other in given) > 1:
            raise FileError(f"{path}: got one file for two outputs, expected two")
        _expect_text(path)
        _expect_replaceable(path)
        if os.path.isdir(path) or not os.path.basename(path):
            raise IsADirectoryError(0, "got a folder, expected the name of a file", path)
        folder = os.path.dirname(os.path.abspath(followed(path)))
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(0, "cannot write into this folder", folder)
        _expect_name(path)
        _try_to_write(folder)


def _expect_name(path: str) -> None:
    """OSError for a name that the file system does not take, one that is too long for it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path)


def _try_to_write(folder: str) -> None:
    """OSError where nothing can be made, whatever the permissions say: /proc, a read-only disk."""
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=leftovers.prefix(_PARTIAL))
    except OSError as error:
        raise OSError(error.errno, f"cannot write here: {error.strerror}", folder) from error
    os.close(handle)
    os.unlink(name)


def expect_writable_folder(path: str) -> None:
    """Raises OSError for a folder that could not be made or written into; makes nothing."""
    _expect_text(path)
    existing = os.path.abspath(path)
    while not os.path.lexists(existing):
        _expect_name(existing)
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise NotADirectoryError(0, "got a file, expected a folder", existing)
    if not os.access(existing, os.W_OK):
        raise PermissionError(0, "cannot write into this folder", existing)


def write_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file completely or not at all; its folder is made if it is missing.

    Where the name is a link, what it leads to is written, as `cp` does. What a process left in the
    folder that was killed while it wrote is removed.

    Raises:
      OSError: with the name of the file.
    """
    temporary = ""
    _expect_replaceable(os.fspath(path))
    try:
        place = followed(path)
        folder = os.path.dirname(os.path.abspath(place))
        os.makedirs(folder, exist_ok=True)
        for name in leftovers.abandoned(folder, _PARTIAL):
            with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
                os.unlink(os.path.join(folder, name))
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=leftovers.prefix(_PARTIAL))
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only the owner can read
        os.replace(temporary, place)
    except BaseException as error:
        if temporary:
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            # Under the file's own name, not the temporary one nor none at all.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """The same for JSON, with a newline at the end."""
    write_atomic(path, json_text(value).encode())


def json_text(value: Any) -> str:
    """JSON with a newline at the end; what is no finite number is null, as JSON has no word for
    it."""
    return json.dumps(_with_nulls(value), indent=2, allow_nan=False) + "\n"


def _with_nulls(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _with_nulls(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(each) for each in value]
    return value
