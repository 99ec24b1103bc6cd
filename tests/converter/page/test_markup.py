# SPDX-License-Identifier: Apache-2.0
"""Text stays text, whatever it is."""

from __future__ import annotations

import html
import html.parser
import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from converter.page.markup import Markup, element, escaped, joined, plain, script_json, short_name


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.found.append(data)


@given(st.text(min_size=1), st.text(min_size=1))
def test_an_element_holds_its_text_and_nothing_else(text: str, title: str) -> None:
    reader = _Reader()
    reader.feed(element("b", text, title=title))
    assert reader.found == [("b", {"title": plain(title)}), plain(text)]


@given(st.text())
def test_no_invisible_character_is_left(text: str) -> None:
    assert not [c for c in plain(text) if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]


@given(
    st.recursive(
        st.text() | st.integers(), lambda each: st.lists(each) | st.dictionaries(st.just("k"), each)
    )
)
def test_data_of_a_script_cannot_end_it(value: object) -> None:
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.dumps(json.loads(text))


def test_markup_is_not_escaped_twice() -> None:
    inner = element("i", "<")
    assert escaped(inner) is inner
    assert joined("<", inner, 1234) == Markup("&lt;<i>&lt;</i>1,234")
    assert element("div", "x", class_="a b", data_n="1") == '<div class="a b" data-n="1">x</div>'


def test_a_long_name_keeps_its_ends() -> None:
    assert short_name("a" * 50 + "b" * 50) == "a" * 45 + "..." + "b" * 45
    assert short_name("short") == "short"
