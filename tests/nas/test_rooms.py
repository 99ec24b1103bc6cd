# SPDX-License-Identifier: Apache-2.0
"""The rooms of nas/README.md: each imports those before it only, and never a command."""

import pathlib

import pytest

import nas
from tests.test_layers import imported

NAS = pathlib.Path(nas.__file__).parent
ROOMS = ("space", "cost", "supernet", "search", "evolution", "found")
SHARED = {"png"}  # beside the rooms, imports none of them


def test_readme_lists_the_rooms_in_their_order():
    text = (NAS / "README.md").read_text()
    places = [text.index(f"| `{room}/` |") for room in ROOMS]
    assert places == sorted(places)
    assert {p.parent.name for p in NAS.glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_those_before_it_only(room):
    allowed = {*ROOMS[: ROOMS.index(room) + 1], *SHARED}
    files = sorted((NAS / room).rglob("*.py"))
    assert files
    for path in files:
        if path.name == "__main__.py":  # a command
            continue
        ours = {n.split(".")[1] for n in imported(path) if n.startswith("nas.")}
        assert ours <= allowed, path.relative_to(NAS)
