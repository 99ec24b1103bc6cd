# SPDX-License-Identifier: Apache-2.0
"""What the figures of every task have in common, so that they can be shown and written down."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol


@dataclasses.dataclass(frozen=True)
class Cell:
    """A column of a table, and its text in one row."""

    heading: str
    text: str
    width: int


class TaskScores(Protocol):
    """Figures of merit of outputs against what was to be said."""

    @property
    def images(self) -> int:
        """How many were scored."""
        ...

    @property
    def figure(self) -> float:
        """The one that networks are compared by."""
        ...

    @property
    def cells(self) -> tuple[Cell, ...]: ...

    def tree(self) -> dict[str, Any]:
        """For a report as JSON."""
        ...


def percent(value: float | None) -> str:
    """A fraction as a table shows it."""
    return "-" if value is None else f"{100 * value:.2f}"
