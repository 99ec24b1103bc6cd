# SPDX-License-Identifier: Apache-2.0
"""A planted fault, as data: a text that occurs once in its file, and what stands there instead."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
    """One planted fault.

    Attributes:
      name: unique, for people.
      path: of the file, from the root.
      text: occurs once in it.
      instead: what replaces it.
      tests: paths for pytest, of the room that is to notice.
    """

    name: str
    path: str
    text: str
    instead: str
    tests: tuple[str, ...]


def random_operators(tests: str, kind: str) -> tuple[str, ...]:
    """The test of a file that draws random operators of a kind."""
    return (f"{tests}::test_random_operators[{kind}]",)
