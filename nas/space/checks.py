# SPDX-License-Identifier: Apache-2.0
"""Errors of a space, and checked reading of its JSON."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from tflm_vit.files import FileError, read_text, reading

Read = TypeVar("Read")


class SpaceError(ValueError):
    """A field of a space or of a sub-network is wrong; the message names it, and what is right."""


def fail(field: str, got: object, expected: str) -> NoReturn:
    raise SpaceError(f"{field}: got {got!r}, expected {expected}")


def check_choices(
    field: str, values: Any, kinds: tuple[type, ...], low: float, high: float
) -> None:
    """Raises SpaceError unless `values` is an ascending tuple of such numbers."""
    if not isinstance(values, tuple) or not values:
        fail(field, values, "a non-empty list of choices")
    for value in values:
        if isinstance(value, bool) or type(value) not in kinds or not low <= float(value) <= high:
            fail(field, value, f"{kinds[0].__name__} choices from {low:g} to {high:g}")
    if list(values) != sorted(set(values)):
        fail(field, values, "choices in ascending order, none of them twice")


def tuples(value: Any) -> Any:
    """Lists of JSON as tuples."""
    return tuple(value) if isinstance(value, list) else value


def known(where: str, data: object, kind: type) -> dict[str, Any]:
    """The fields of a JSON object, lists as tuples.

    Raises:
      SpaceError: it is no object, or has a key that is no field of the dataclass `kind`.
    """
    if not isinstance(data, dict):
        raise SpaceError(f"{where}: got {type(data).__name__}, expected a JSON object")
    names = [field.name for field in dataclasses.fields(kind)]
    for key in data:
        if key not in names:
            raise SpaceError(f"{where}.{key}: unknown field, expected one of {', '.join(names)}")
    return {k: tuples(v) for k, v in data.items()}


def made(where: str, kind: type, fields: dict[str, Any]) -> Any:
    """`kind(**fields)`; a field that is missing is a SpaceError."""
    try:
        return kind(**fields)
    except TypeError as error:
        raise SpaceError(f"{where}: {str(error).split('() ')[-1]}") from error


def load_json(path: str | os.PathLike[str], parse: Callable[[str], Read]) -> Read:
    """What `parse` makes of a file's text; SpaceErrors name the file."""
    try:
        with reading(path, error=SpaceError):
            return parse(read_text(path))
    except OSError as error:
        raise SpaceError(f"{os.fspath(path)}: cannot read: {error.strerror}") from error
    except FileError as error:
        raise SpaceError(str(error)) from error
