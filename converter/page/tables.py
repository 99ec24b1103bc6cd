# SPDX-License-Identifier: Apache-2.0
"""Tables of a page: numbers to the right, wide ones scroll within their frame."""

from __future__ import annotations

from collections.abc import Sequence

from converter.page.markup import Child, Markup, element

UNKNOWN = "–"  # instead of a figure that nobody knows

Cell = Child | float | None


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], class_: str = "") -> Markup:
    """A table; the first column names its row.

    Args:
      head: titles of columns, with units; a column of which nobody knows anything is left out.
      rows: whole numbers get commas, others one digit behind the point.
    """
    known = [c for c in range(len(head)) if not rows or any(row[c] is not None for row in rows)]
    head, rows = [head[c] for c in known], [[row[c] for c in known] for row in rows]
    numeric = [
        any(isinstance(row[c], int | float) for row in rows)
        and all(row[c] is None or isinstance(row[c], int | float) for row in rows)
        for c in range(len(head))
    ]
    classes = ["n" if number else "t" for number in numeric]
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
