# SPDX-License-Identifier: Apache-2.0
"""Records read from files: what a dataclass promises of its fields is looked at."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

Record = TypeVar("Record")
_WORDS = {float: "a number", int: "a whole number", str: "a text", type(None): "null"}


def checked(record: Record) -> Record:
    """A dataclass's object made of values from a file, if each is of its field's type.

    Fields are numbers, texts, None, other dataclasses, and tuples of these.

    Raises:
      ValueError: names the field, what was got and what was expected.
    """
    hints = typing.get_type_hints(type(record))
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        value, hint = getattr(record, field.name), hints[field.name]
        if not _is(value, hint):
            raise ValueError(f"{field.name}: got {_shown(value)}, expected {_words(hint)}")
    return record


def _is(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_is(value, each) for each in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        (each, _) = typing.get_args(hint)
        return isinstance(value, tuple) and all(_is(item, each) for item in value)
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) if hint is float else isinstance(value, hint)


def _words(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_words(each) for each in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"a list, each {_words(typing.get_args(hint)[0])}"
    return _WORDS.get(hint, "an object")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
