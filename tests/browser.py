# SPDX-License-Identifier: Apache-2.0
"""A page as headless Chromium shows it: its elements after all scripts ran, and the console."""

from __future__ import annotations

import dataclasses
import html
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-extensions", "--no-first-run", "--virtual-time-budget=6000",
    "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Element:
    """A start tag."""

    name: str
    attributes: dict[str, str | None]


@dataclasses.dataclass(frozen=True)
class Shown:
    """What the browser made of a page.

    Attributes:
      elements: in order.
      text: of all elements but scripts and styles.
      console: lines that scripts or the browser wrote about the page.
    """

    elements: tuple[Element, ...]
    text: str
    console: tuple[str, ...]

    def labels(self) -> list[str]:
        """What marks of figures say to a screen reader."""
        found = (e.attributes.get("aria-label") for e in self.elements)
        return [label for label in found if label]


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.texts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.texts.append(data)


def shown(path: Path, work: Path, width: int = 1280) -> Shown:
    """Opens a file; skips the test where no Chromium is installed.

    Args:
      work: folder for the browser's profile.
      width: of the window, pixels.
    """
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    command = [
        program, *_FLAGS, f"--user-data-dir={work / 'profile'}", f"--window-size={width},900",
        "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    reader = _Reader()
    reader.feed(done.stdout)
    console = re.findall(r"^.*:CONSOLE[:(]\S*\s*(.*)$", done.stderr, re.M)
    return Shown(tuple(reader.elements), "".join(reader.texts), tuple(console))


_PHONE = 390  # pixels; a window of headless Chromium has 500 or more, a frame may have fewer
_WIDER = """<script>addEventListener("load", () => setTimeout(() => {
  const page = document.querySelector("iframe").contentDocument, end = WIDTH + 0.5;
  const outside = e => e.matches(".scroll") || !e.closest(".scroll");
  const found = [...page.body.querySelectorAll("*")].filter(
    e => outside(e) && e.getBoundingClientRect().right > end);
  document.body.dataset.width = page.documentElement.clientWidth;
  document.body.dataset.scrolled = page.documentElement.scrollWidth;
  document.body.dataset.wider = JSON.stringify(found.map(
    e => `${e.tagName} in #${e.closest("[id]")?.id}: ${e.textContent.slice(0, 40)}`));
}, 2000))</script>"""


def wider_than_a_phone(path: Path, work: Path) -> list[str]:
    """Elements that go beyond the right end of a page 390 pixels wide, after all scripts ran.

    What is in a table's own frame may; the frame itself not.

    Args:
      work: folder for the browser's profile and for the page around the page.
    """
    inner = html.escape(path.read_text(encoding="utf-8"))
    frame = f'<iframe style="border:0;width:{_PHONE}px;height:900px" srcdoc="{inner}"></iframe>'
    outer = work / f"{path.stem}_on_a_phone.html"
    script = _WIDER.replace("WIDTH", str(_PHONE))
    outer.write_text(f"<!DOCTYPE html><meta charset=utf-8>{frame}{script}", encoding="utf-8")
    (body,) = (e for e in shown(outer, work).elements if e.name == "body")
    told = body.attributes
    assert told["data-width"] == str(_PHONE)
    found: list[str] = json.loads(told["data-wider"] or "")
    if told["data-scrolled"] != str(_PHONE):
        found.append(f"the page: {told['data-scrolled']} pixels")
    return found
