# SPDX-License-Identifier: Apache-2.0
"""The documentation: links lead somewhere, errors are quoted as the sources say them, pages made of
records are of today's records, and the site builds."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import (
    accuracy_tables,
    fault_tables,
    planner_table,
    readme_tables,
    scene_tables,
    search_tables,
    tasks,
    zoo,
)
from tools.site import links, messages

ROOT = Path(__file__).parents[1]
PAGES = links.pages()
TROUBLE = ROOT / "docs" / "troubleshooting.md"


def anchors(text: str) -> set[str]:
    """Of a document's headings, as MkDocs and hosts of repositories make them."""
    found = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", re.sub(r"```.*?```", "", text, flags=re.S), re.M):
        words = re.sub(r"[^\w\s-]", "", heading.lower()).strip()
        found |= {re.sub(r"\s", "-", words), re.sub(r"[-\s]+", "-", words)}
    return found


@pytest.mark.parametrize("origin", PAGES)
def test_links_lead_somewhere(origin: str) -> None:
    for words, target in links.targets((ROOT / origin).read_text(encoding="utf-8")):
        path, anchor = links.resolved(origin, target)
        if path == "docs/messages.md":  # made with the site
            continue
        assert (ROOT / path).exists(), f"{origin}: [{words}]({target})"
        if anchor:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert anchor in anchors(text), f"{origin}: [{words}]({target})"


def test_a_broken_link_is_found() -> None:
    text = (
        "[a](docs/none.md) `[b](c.md)` [c](https://x) ![d](docs/images/x.png)\n```\n[e](f)\n```\n"
    )
    assert [t for _, t in links.targets(text)] == ["docs/none.md", "c.md", "docs/images/x.png"]
    assert links.resolved("docs/memory.md", "../nas/README.md#rooms") == ("nas/README.md", "rooms")


def test_links_on_the_site_lead_to_its_pages() -> None:
    text = "[x](../nas/README.md#a) [y](kernels.md) [z](../boards/board.py) [w](results/bench.json)"
    assert links.on_site("docs/memory.md", text) == (
        "[x](rooms/nas.md#a) [y](kernels.md) z (`boards/board.py`) [w](results/bench.json)"
    )
    text = "[m](../docs/memory.md) [r](../README.md)\n```\n[n](../docs/memory.md)\n```\n"
    assert links.on_site("nas/README.md", text) == (
        "[m](../memory.md) [r](../index.md)\n```\n[n](../docs/memory.md)\n```\n"
    )


def quoted() -> list[str]:
    """Errors that the page on troubleshooting has as headings."""
    return re.findall(r"^### `(.+)`$", TROUBLE.read_text(encoding="utf-8"), re.M)


def says(text: str, words: str) -> bool:
    """Whether a text of the sources has the words, in order, whatever stands in the gaps."""
    at = 0
    for part in (p.strip() for p in words.split(messages.GAP)):
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def test_quoted_errors_are_in_the_sources() -> None:
    assert len(quoted()) >= 30
    texts = [text for _, text in messages.spoken()]
    for words in quoted():
        assert any(says(text, words) for text in texts), words


def test_every_heading_of_troubleshooting_is_an_error() -> None:
    text = TROUBLE.read_text(encoding="utf-8")
    assert len(re.findall(r"^### ", text, re.M)) == len(quoted())


def test_words_that_nobody_says_are_found_out() -> None:
    assert says("over budget: SRAM needs … bytes (…)", "over budget: … needs … bytes")
    assert not says("over budget: SRAM needs … bytes", "over budget: flash needs … bytes")
    assert not says("a then b", "b … a")


def test_the_page_of_messages_has_those_of_all_rooms() -> None:
    text = messages.page()
    for room in ("converter", "firmware", "keras_models", "nas", "boards"):
        assert f"\n## {room}\n" in text
    assert "is the board running this firmware, and is the port right?" in text
    assert len(re.findall(r"^\* ", text, re.M)) > 500


def test_the_zoo_is_of_the_records() -> None:
    assert zoo.PAGE.read_text(encoding="utf-8") == zoo.page(), "run: python -m benchmarks.zoo"


def test_every_generated_part_has_a_source_that_a_test_compares() -> None:
    known = {
        readme_tables.README: set(readme_tables.SECTIONS),
        planner_table.PAGE: {"planner"},
        fault_tables.PAGE: set(fault_tables.SECTIONS),
        tasks.PAGE: {"tasks", "commands", "questions", "texts", "boxes"}
        | set(scene_tables.SECTIONS),
        search_tables.PAGE: set(search_tables.SECTIONS),
        **{path: set(parts) for path, parts in accuracy_tables.DOCUMENTS.items()},
    }
    for path in (ROOT / name for name in PAGES):
        text = path.read_text(encoding="utf-8")
        marked = re.findall(r"<!-- generated: (\w+) -->", text)
        assert set(marked) <= known.get(path, set()), path.name


def test_the_navigation_names_pages_that_exist() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    for name in re.findall(r"([\w/]+\.md)", text):
        assert name == "messages.md" or (ROOT / "docs" / name).is_file(), name


@pytest.mark.skipif(
    not all(importlib.util.find_spec(n) for n in ("mkdocs", "material", "mkdocstrings")),
    reason="needs the extra: pip install 'tflm-vit[docs]'",
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "--strict", "-d", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "tflm_vit.api.fuse" in (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
