# SPDX-License-Identifier: Apache-2.0
"""Tables of a page: numbers to the right, wide ones scroll within their frame."""

from __future__ import annotations

from collections.abc import Sequence

from converter.page.markup import Child, Markup, element, joined

UNKNOWN = "–"  # instead of a figure that nobody knows

Cell = Child | float | None

_SHORT = 16  # characters that are not broken into lines: a type, a shape, a name of an operator
_OPEN_ROWS = 30  # of a long table; what else there is opens on demand


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], class_: str = "") -> Markup:
    """A table; the first column names its row.

    Args:
      head: titles of columns, with units; a column of which nobody knows anything is left out.
      rows: whole numbers get commas, others two digits behind the point.
    """
    known = [c for c in range(len(head)) if not rows or any(row[c] is not None for row in rows)]
    head, rows = [head[c] for c in known], [[row[c] for c in known] for row in rows]
    classes = [_kind([row[c] for row in rows]) for c in range(len(head))]
    titles = [
        element("th", text, scope="col", class_=kind)
        for text, kind in zip(head, classes, strict=True)
    ]
    lines = [
        element(
            "tr",
            element("th", _shown(first), scope="row", class_=classes[0]),
            *(
                element("td", _shown(cell), class_=kind)
                for cell, kind in zip(rest, classes[1:], strict=True)
            ),
        )
        for first, *rest in rows
    ]
    inner = element(
        "table", element("thead", element("tr", *titles)), element("tbody", *lines), class_=class_
    )
    return element("div", inner, class_="scroll", tabindex="0")


def long_table(what: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Markup:
    """A wide table; of a long one the first rows, and folded below it all of them.

    Args:
      what: the rows are, e.g. "operators".
      head, rows: as of `table`.
    """
    whole = table(head, rows, "wide")
    if len(rows) <= _OPEN_ROWS:
        return whole
    note = element("p", f"The first {_OPEN_ROWS} of {len(rows)} {what}.", class_="soft")
    first = table(head, rows[:_OPEN_ROWS], "wide")
    brief = element("div", first, note, class_="brief")
    return joined(brief, folded(f"All {len(rows)} {what}", whole))


def _kind(column: Sequence[Cell]) -> str:
    """The class of a column: numbers, short texts, or texts."""
    told = [cell for cell in column if cell is not None]
    if told and all(isinstance(cell, int | float) for cell in told):
        return "n"
    short = all(not isinstance(cell, Markup) and len(str(cell)) <= _SHORT for cell in told)
    return "s" if told and short else "t"


def _shown(cell: Cell) -> Child:
    if cell is None:
        return UNKNOWN
    return f"{cell:,.2f}" if isinstance(cell, float) else cell


def facts(rows: Sequence[tuple[str, Child]]) -> Markup:
    """Names and what is so called."""
    entries = [element("div", element("dt", name), element("dd", value)) for name, value in rows]
    return element("dl", *entries)


def folded(summary: str, *content: Child) -> Markup:
    """What opens on demand; open in print."""
    return element("details", element("summary", summary), *content)
