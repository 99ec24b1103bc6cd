# SPDX-License-Identifier: Apache-2.0
"""The flags of one command: parsed with absl, refused in one line, all of them in `--help`.

    FLAGS = FlagSet("fuse", __doc__)
    _PLAN = FLAGS.boolean("plan", True, "Plan the arena.")

Each command has a set of its own, so that commands can be imported side by side. Flags that several
commands take are in `tflm_vit.flags`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, overload

from absl import flags as absl_flags

from tflm_vit.old_flags import replacement

T = TypeVar("T")

_REPORTS = ("json", "png", "html", "csv")  # files that a command writes beside its result
_HELP = frozenset({"--help", "-help", "-h", "--helpfull", "--helpshort", "-?"})


class FlagError(ValueError):
    """What was typed is no flag of the command, or no value for it."""


class Flag(Generic[T]):
    """One flag of a set: `value` is what was typed, or the default."""

    def __init__(self, name: str, values: Any) -> None:
        self.name = name
        self._values = values

    @property
    def value(self) -> T:
        return self._values[self.name].value  # type: ignore[no-any-return]

    @property
    def given(self) -> bool:
        """Whether the command line names it."""
        return not self._values[self.name].using_default_value


class FlagSet:
    """Flags by name, in the order of their definition.

    Attributes:
      command: what an error begins with, e.g. "fuse".
    """

    def __init__(self, command: str, doc: str | None) -> None:
        self.command = command
        self._doc = (doc or "").strip()
        self._values = absl_flags.FlagValues()
        self._texts: dict[str, str] = {}  # in the order of definition
        self._required: list[tuple[str, ...]] = []  # each: one of these
        self._checks: dict[str, Callable[[Any], str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._texts)

    def text(self, name: str) -> str:
        """What the help says of a flag."""
        return self._texts[name]

    def __getattr__(self, name: str) -> Any:
        """The value of a flag by its name."""
        if name.startswith("_") or name not in self._texts:
            raise AttributeError(name)
        return self._values[name].value

    def __getitem__(self, name: str) -> Flag[Any]:
        """A flag by its name."""
        return Flag(name, self._values)

    # ---- definition ------------------------------------------------------------------------------

    def string(self, name: str, default: str, text: str, required: bool = False) -> Flag[str]:
        """Any text; "" where nothing is given."""
        if required:
            self._required.append((name,))
        absl_flags.DEFINE_string(name, default, text, self._values)
        return self._add(name, text)

    def boolean(self, name: str, default: bool, text: str) -> Flag[bool]:
        """--name or --noname."""
        absl_flags.DEFINE_boolean(name, default, text, self._values)
        return self._add(name, text)

    @overload
    def integer(
        self, name: str, default: int, text: str, low: int = ..., high: int = ...
    ) -> Flag[int]: ...

    @overload
    def integer(
        self, name: str, default: None, text: str, low: int = ..., high: int = ...
    ) -> Flag[int | None]: ...

    def integer(
        self, name: str, default: int | None, text: str, low: int = 0, high: int = 2**53
    ) -> Any:
        """A whole number, low to high; None where nothing is given."""
        absl_flags.DEFINE_integer(name, default, text, low, high, self._values)
        return self._add(name, text)

    @overload
    def number(
        self, name: str, default: float, text: str, low: float = ..., high: float | None = ...
    ) -> Flag[float]: ...

    @overload
    def number(
        self, name: str, default: None, text: str, low: float = ..., high: float | None = ...
    ) -> Flag[float | None]: ...

    def number(
        self,
        name: str,
        default: float | None,
        text: str,
        low: float = 0.0,
        high: float | None = None,
    ) -> Any:
        """A finite number, low to high; None where nothing is given."""
        absl_flags.DEFINE_float(name, default, text, low, high, self._values)
        self._checks[name] = lambda value: (
            "" if value is None or math.isfinite(value) else "expected a finite number"
        )
        return self._add(name, text)

    def enum(self, name: str, default: str, choices: Sequence[str], text: str) -> Flag[str]:
        """One of some words; "" where nothing is given and that is the default."""
        some = [*choices] if default in choices else ["", *choices]
        absl_flags.DEFINE_enum(name, default, some, text, self._values)
        return self._add(name, text)

    def words(self, name: str, default: Sequence[str], text: str) -> Flag[list[str]]:
        """Several words with commas between them."""
        absl_flags.DEFINE_list(name, [*default], text, self._values)
        return self._add(name, text)

    def repeated(self, name: str, text: str) -> Flag[list[str]]:
        """A flag that may be given several times."""
        absl_flags.DEFINE_multi_string(name, [], text, self._values)
        return self._add(name, text)

    def files(self, name: str, text: str, number: str, required: bool = False) -> Flag[list[str]]:
        """Paths with commas between them; `number` says what to give where a number is meant."""

        def check(paths: list[str]) -> str:
            numbers = [path for path in paths if path.isdigit() and not os.path.exists(path)]
            return f"got the number {numbers[0]}, expected files; {number}" if numbers else ""

        absl_flags.DEFINE_list(name, [], text, self._values)
        if required:
            self._required.append((name,))
        self._checks[name] = check
        return self._add(name, text)

    def needs_one_of(self, *names: str) -> None:
        """Without any of these flags, which are defined, the first is missing."""
        self._required.append(names)

    def _add(self, name: str, text: str) -> Flag[Any]:
        if hasattr(type(self), name) or name == "command":
            raise ValueError(f"--{name}: the name of a method of FlagSet")
        self._texts[name] = text
        return Flag(name, self._values)

    # ---- command line ----------------------------------------------------------------------------

    @staticmethod
    def asks_for_help(words: Sequence[str]) -> bool:
        """Whether one of the words is --help."""
        flags = words[: words.index("--")] if "--" in words else words
        return not _HELP.isdisjoint(flags)

    def parse(self, words: Sequence[str]) -> None:
        """Takes the values that were typed.

        Raises:
          FlagError: one line that says what was got and what to give.
        """
        absl_flags.FLAGS([self.command])  # libraries may read absl's own flags
        for word in words:
            name = word.lstrip("-").partition("=")[0]
            new = replacement(name, self._texts) if word.startswith("-") else ""
            if new:
                raise FlagError(f"--{name}: now {new}; --help lists the flags")
        for name in self.names:  # of an earlier call in this process
            self._values[name].unparse()
        try:
            rest = self._values([self.command, *words])
        except (absl_flags.Error, ValueError) as error:
            text = " ".join(str(error).removeprefix("flag ").split())
            if isinstance(error, absl_flags.UnrecognizedFlagError):
                text = f"no flag --{error.flagname}{self._similar(text)}"
            raise FlagError(f"{text}; --help lists the flags") from error
        if len(rest) > 1:
            raise FlagError(
                f"unexpected argument {rest[1]!r}; expected flags only, --help lists them"
            )
        self._check()

    def _check(self) -> None:
        for names in self._required:
            if not any(self[name].value for name in names):
                first, *others = names
                what = self._texts[first].rstrip(".")
                instead = "".join(f"; or --{name}" for name in others)
                raise FlagError(f"--{first} is missing: {what[:1].lower()}{what[1:]}{instead}")
        for name, check in self._checks.items():
            fault = check(self[name].value)
            if fault:
                raise FlagError(f"--{name}: {fault}")
        for name in _REPORTS:
            if name in self._texts and isinstance(self[name].value, str):
                self._expect_no_input(name, self[name].value)

    def _expect_no_input(self, report: str, path: str) -> None:
        """Refuses a report in the place of a file that the command reads."""
        if not os.path.isfile(path):
            return
        for name in self.names:
            value = self[name].value
            given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
            others = [str(other) for other in given if name not in _REPORTS and other]
            if any(os.path.realpath(path) == os.path.realpath(other) for other in others):
                raise FlagError(
                    f"--{report}={path} would overwrite the file of --{name}; give another name"
                )

    @staticmethod
    def _similar(text: str) -> str:
        names = text.partition("Did you mean: ")[2].rstrip(" ?")
        return f", did you mean --{names.replace(', ', ' or --')}?" if names else ""

    def help(self) -> str:
        """What `--help` prints: what the command does, and each of its flags."""
        return "\n".join([self._doc, "", "Flags:", *(self._describe(n) for n in self._texts)])

    def _describe(self, name: str) -> str:
        flag = self._values[name]
        choices = [word for word in getattr(flag.parser, "enum_values", None) or () if word]
        shown = f"--[no]{name}" if flag.boolean else f"--{name}={'|'.join(choices) or 'VALUE'}"
        text = self._texts[name]
        if (name,) in self._required:
            text += " Needed."
        elif not flag.boolean and flag.default not in (None, "", []):
            default = flag.default
            words = ",".join(map(str, default)) if isinstance(default, list) else default
            text += f" Default: {words}."
        elif flag.boolean and flag.default:
            text += " Default: yes."
        return f"  {shown}\n      {text}"
