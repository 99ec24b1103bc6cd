# SPDX-License-Identifier: Apache-2.0
"""The spaces of recorded searches, JSON as a user writes it, are what the records say."""

import json
from pathlib import Path

import pytest

from nas.space.presets import SPACES, get_space

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "benchmarks" / "spaces").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_space_loads_under_its_own_name(path: Path) -> None:
    space = get_space(str(path))
    assert space.name == path.stem
    assert space.name not in SPACES


def test_the_cifar_record_is_of_this_space() -> None:
    record = json.loads((ROOT / "docs" / "results" / "search_cifar10.json").read_text())
    space = get_space(str(ROOT / "benchmarks" / "spaces" / "cifar_small.json"))
    assert record["search"]["space"] == record["random"]["space"] == space.name
    assert record["search"]["networks"] == space.size
    assert record["search"]["evaluated"] == record["random"]["evaluated"]
    for found in (record["search"], record["random"]):
        assert [run["seed"] for run in found["retrained"]] == [0, 1, 2]
