# SPDX-License-Identifier: Apache-2.0
"""docs/search.md says what the records of the search's benchmarks say."""

import json
from pathlib import Path

import numpy as np

from benchmarks.s3_memory import at_192
from benchmarks.supernet_speed.__main__ import KINDS, draw
from nas.space.staged_presets import STAGED_SPACES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")


def record(name):
    return json.loads((ROOT / "docs" / "results" / name).read_text(encoding="utf-8"))


def test_the_supernets_step():
    rows = record("supernet_speed.json")["rows"]
    assert [row["kind"] for row in rows] == list(KINDS)
    for row in rows:
        assert f"{row['ratio']:.2f}" in PAGE, row
        assert row["ratio"] <= 1.0


def test_sub_networks_of_a_turn():
    rng = np.random.default_rng(0)
    drawn = [draw("random", rng) for _ in range(20)]
    assert len({json.dumps(network) for network in drawn}) > 15
    assert all(len(n["heads"]) == len(n["mlp_ratio"]) == n["depth"] for n in drawn)
    assert draw("smallest", rng)["depth"] < draw("largest", rng)["depth"]


def test_what_s3_needs():
    data = record("s3_memory.json")
    published, least = data["s3_t_published"], data["s3_t"]["least"]
    for value in (published["sram_bytes"], least["arena_bytes"]):
        assert f"{value:,}" in PAGE
    assert data["s3_t"]["fit"] == 0
    found = data["s3_t_192"]["largest"]
    for value in (found["params"], found["emulated"]["sram_bytes"], found["sram_bytes"]):
        assert f"{value:,}" in PAGE
    assert found["emulated"]["sram_bytes"] <= found["sram_bytes"] <= 320 * 1024
    assert abs(found["instructions"] / found["emulated"]["instructions"] - 1) < 0.03


def test_windows_at_192_pixels_divide_their_grids():
    space = at_192(STAGED_SPACES["s3_t"])
    sides = (48, 24, 12, 6)
    for stage, side in zip(space.stages, sides, strict=True):
        assert all(window == 0 or side % window == 0 for window in stage.window)
