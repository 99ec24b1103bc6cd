# SPDX-License-Identifier: Apache-2.0
"""The recipes of CONTRIBUTING.md name files that exist, and not more than was promised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# The largest number of files by hand, where one was promised.
MOST = {
    "A rewriting rule": 2,
    "A pattern": 6,
    "An operator": 9,
    "A builtin of the compiled runtime": 9,
    "A board": 1,
    "A task": 6,
    "A search dimension": 4,
    "A kernel variant": 5,
}


def recipes() -> dict[str, str]:
    parts = re.split(r"^### (.+)$", TEXT, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def files_of(recipe: str) -> list[str]:
    """The first column of a recipe's table, with its example's name."""
    example = re.search(r"Example: (?:[^`\n]*\()?`([a-z0-9_]+)`", recipe)
    files = re.findall(r"^\| `([^`]+)` \|", recipe, flags=re.M)
    return [f.replace("NAME", example[1]) if example else f for f in files]


@pytest.mark.parametrize("name", MOST)
def test_a_recipe_names_files_that_exist(name: str) -> None:
    files = files_of(recipes()[name])
    assert 1 <= len(files) <= MOST[name]
    for file in files:
        assert (ROOT / file).is_file(), file


def test_every_recipe_with_files_is_counted() -> None:
    assert {name for name, text in recipes().items() if files_of(text)} == set(MOST)


def test_other_files_that_are_named_exist() -> None:
    for file in re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.[a-z]+)`", TEXT):
        assert (ROOT / file).is_file(), file
    for file in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / file).is_file(), file


FOLDERS = (
    "benchmarks",
    "boards",
    "converter",
    "firmware",
    "keras_models",
    "nas",
    "tests",
    "tflm_custom_ops",
    "tflm_vit",
    "toolchain",
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_has_a_readme_whose_files_exist(folder: str) -> None:
    path = ROOT / folder / "README.md"
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    tables = re.findall(
        r"^\| (?:file|part|room)\b[^\n]*\n\|[-|: ]+\n((?:\|[^\n]*\n)+)", text, flags=re.M
    )
    for cell in re.findall(r"^\| ([^|]+) \|", "".join(tables), flags=re.M):
        for word in re.findall(r"`([a-zA-Z0-9_*./-]+)`", cell):
            assert list(path.parent.rglob(word.rstrip("/"))), f"{folder}/README.md: {word}"
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (path.parent / link).exists(), f"{folder}/README.md: {link}"
