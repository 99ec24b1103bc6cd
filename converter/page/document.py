# SPDX-License-Identifier: Apache-2.0
"""Puts a page together: one file, nothing is loaded from elsewhere."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from importlib import resources

from converter.page import figures
from converter.page.markup import Markup, element, escaped, joined

# A page that is opened from a disk must not be made to fetch anything, whatever stands in it.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "img-src data:"
)
_NO_SCRIPT = "The figures need JavaScript; the tables hold the same numbers."


@dataclasses.dataclass(frozen=True)
class PageSection:
    """A part of a page.

    Attributes:
      title: what it is about; also in the list at the top.
    """

    title: str
    body: Markup

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def document(title: str, lead: Markup, sections: Sequence[PageSection]) -> str:
    """A page of a report.

    Args:
      title: a name, as any text.
      lead: what stands before the first section.
    """
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    links = [element("li", element("a", s.title, href=f"#{s.anchor}")) for s in sections]
    parts = [
        element("section", element("h2", s.title), s.body, id=s.anchor, class_="card")
        for s in sections
    ]
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{escaped(_POLICY)}">'),
        Markup('<link rel="icon" href="data:,">'),
        element("title", title),
        Markup(f"<style>{style}</style>"),
        figures.library(),
    )
    body = joined(
        element("header", element("h1", title), lead),
        element("nav", element("ul", *links)),
        element("noscript", element("p", _NO_SCRIPT)),
        element("main", *parts),
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'
