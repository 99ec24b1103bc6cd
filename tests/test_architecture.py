# SPDX-License-Identifier: Apache-2.0
"""docs/architecture.md says what is: picture and table are the import rules, its files exist."""

import re
from pathlib import Path

import pytest

from tests.test_layers import ALLOWED, SHARED

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATH = re.compile(r"`((?:[a-z_0-9]+/)+(?:[A-Za-z_0-9]+\.[a-z]+)?)`")


def test_the_picture_is_the_import_rules():
    arrows = set(re.findall(r"^  (\w+) --> (\w+)$", TEXT, flags=re.M))
    assert arrows == {(room, other) for room, others in ALLOWED.items() for other in others}


def test_the_picture_names_what_everybody_may_import():
    inner = re.search(r"subgraph everybody.*?\n(.*?)\n  end", TEXT, flags=re.S)
    assert inner is not None
    assert set(inner[1].split()) == set(SHARED)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_the_table_is_the_import_rules(room):
    row = re.search(rf"^\| `{room}/` \|.*\| (.*) \|$", TEXT, flags=re.M)
    assert row is not None
    assert set(re.findall(r"`(\w+)`", row[1])) == ALLOWED[room]


def test_files_that_are_named_exist():
    named = PATH.findall(TEXT)
    assert len(named) > 40
    for name in named:
        assert (ROOT / name).exists(), name


ROOMS = "|".join((*ALLOWED, "benchmarks"))
ROOM_PATH = re.compile(rf"(?<![\w/.-])((?:{ROOMS})/[\w/]+\.(?:py|c|cc|h|S|md))\b")


def test_files_that_texts_and_comments_name_exist():
    """After a move, the comment that says where to look says the new place."""
    missing = []
    for folder in (*ALLOWED, "benchmarks", "docs", "examples"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix not in (".md", ".py", ".c", ".cc", ".h", ".S"):
                continue
            for name in ROOM_PATH.findall(path.read_text(encoding="utf-8")):
                if "NAME" not in name and not (ROOT / name).exists():
                    missing.append((path.relative_to(ROOT).as_posix(), name))
    assert not missing
