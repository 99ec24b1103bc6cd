# SPDX-License-Identifier: Apache-2.0
"""Takes values out of JSON objects one by one, each checked, and refuses what nobody knows."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from boards.keys import Key

DOCUMENT = "docs/boards.md"
MOST_BYTES = 1 << 20  # of a board's file
_SHOWN = 60  # characters of a wrong value in a message
# What may stand in a C string, in a comment of C or of a linker script, in CMake, JSON and Markdown
# without meaning anything there.
TEXT_MOST = 64
_TEXT = rf"[A-Za-z0-9 .,:+_()/#=-]{{1,{TEXT_MOST}}}"
_SENTENCE = r"[^\x00-\x1f\x7f]{1,1000}"
# Windows has no files of these names, whatever follows the first dot.
_DEVICES = frozenset(
    ("CON", "PRN", "AUX", "NUL", *(f"{p}{n}" for p in ("COM", "LPT") for n in "123456789"))
)
TEXT_WORDS = "letters, digits, spaces and . , : + _ ( ) / # = -"


def is_device(file_name: str) -> bool:
    """Whether Windows takes a file's name for a device."""
    return file_name.split(".")[0].upper() in _DEVICES


def parse_json(where: str, text: str) -> Any:
    """The value of a JSON text.

    Raises:
      ValueError: not JSON; NaN or infinity; a key twice; nested too deeply.
    """

    def constant(word: str) -> Any:
        raise ValueError(f"{word} is no number")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"key {_short(name)} appears {names.count(name)} times")
        return dict(items)

    try:
        return json.loads(text, parse_constant=constant, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError(f"{where}: not a board: nested too deeply; see {DOCUMENT}") from None
    except ValueError as error:
        raise ValueError(f"{where}: not JSON: {error}; see {DOCUMENT}") from None


def _short(value: object) -> str:
    """A value for a message, on one line and bounded."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    return names.get(type(value), "null")


def _integer(value: object) -> int | None:
    """An integer, also of a string such as "0x20000000"; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,8}", value):
        return int(value, 16)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class ObjectReader:
    """One JSON object: takes its values one by one, each checked; refuses what nobody took."""

    def __init__(self, where: str, value: Any, keys: tuple[Key, ...]) -> None:
        self.where = where
        if not isinstance(value, dict):
            raise ValueError(f"{where}: got {_kind(value)}, expected an object; see {DOCUMENT}")
        known = [key.name for key in keys]
        for name in value:
            if name not in known:
                shown = repr(name) if len(name) <= _SHOWN else repr(name[:_SHOWN]) + "..."
                raise ValueError(f"{where}: unknown key {shown}; expected {', '.join(known)}")
        self._values = value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def error(self, name: str, expected: str) -> ValueError:
        """The error for a bad or a missing value."""
        if name not in self._values:
            return ValueError(f"{self.where}: {name} is missing; expected {expected}")
        return ValueError(
            f"{self.where}: {name} is {_short(self._values[name])}, expected {expected}"
        )

    def number(
        self, name: str, expected: str, default: int | None = None, *, low: int = 0, high: int
    ) -> int:
        """An integer from `low` to `high`, or a string such as "0x20000000"."""
        value = _integer(self._values.get(name, default))
        if value is None or not low <= value <= high:
            raise self.error(name, expected)
        return value

    def numbers(self, name: str, expected: str, *, high: int) -> tuple[int, ...]:
        """Integers from 0 to `high`, as `number` takes them; empty when the list is missing."""
        values = [_integer(value) for value in self.items(name)]
        if any(value is None or not 0 <= value <= high for value in values):
            raise self.error(name, expected)
        return tuple(value for value in values if value is not None)

    def real(self, name: str, expected: str, *, low: float, high: float) -> float:
        """A finite number from `low` to `high`."""
        value = self._values.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.error(name, expected)
        if not low <= value <= high or not math.isfinite(value):
            raise self.error(name, expected)
        return float(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """true or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise self.error(name, "true or false")
        return value

    def matched(self, name: str, pattern: str, expected: str, default: str | None = None) -> str:
        """A string that the pattern matches as a whole."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.error(name, expected)
        return value

    def text(self, name: str, default: str) -> str:
        """A line of text that means nothing to C, a linker script, CMake or Markdown."""
        if name not in self._values:
            return default
        return self.matched(name, _TEXT, f"1 to {TEXT_MOST} of {TEXT_WORDS}")

    def sentences(self, name: str) -> tuple[str, ...]:
        """Lines of text for people; empty when the list is missing."""
        return self.strings(name, _SENTENCE, "a list of sentences without line ends")

    def sentence(self, name: str, default: str) -> str:
        """A line of text for people."""
        return self.matched(name, _SENTENCE, "a sentence without line ends", default)

    def optional(self, name: str, pattern: str, expected: str) -> str | None:
        """A string that the pattern matches as a whole, or None."""
        if self._values.get(name) is None:
            return None
        return self.matched(name, pattern, expected)

    def word(self, name: str, words: list[str], default: str | None = None) -> str:
        """One of several words."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or value not in words:
            raise self.error(name, f"one of {', '.join(words)}")
        return value

    def items(self, name: str, *, most: int = 64) -> list[Any]:
        """A list; empty when it is missing."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise self.error(name, f"a list of {most} at most")
        return value

    def strings(self, name: str, pattern: str, expected: str) -> tuple[str, ...]:
        """Strings that the pattern matches as a whole; empty when it is missing."""
        values = self.items(name)
        if not all(isinstance(v, str) and re.fullmatch(pattern, v) for v in values):
            raise self.error(name, expected)
        return tuple(values)

    def object(self, name: str, keys: tuple[Key, ...]) -> ObjectReader:
        """The reader of an object inside."""
        if name not in self._values:
            raise self.error(name, "an object")
        return ObjectReader(f"{self.where}: {name}", self._values[name], keys)

    def get(self, name: str, default: Any = None) -> Any:
        """Whatever is there."""
        return self._values.get(name, default)
