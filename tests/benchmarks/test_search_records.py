# SPDX-License-Identifier: Apache-2.0
"""docs/search.md says what the records of the search's benchmarks say."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import search_tables, space_evolution
from benchmarks.baselines import correlations
from benchmarks.supernet_speed.__main__ import KINDS, draw

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
    published, space = data["s3_t_published"], data["s3_t"]
    found, measured = space["largest"], space["largest"]["emulated"]
    for value in (
        *(published["sram_bytes"], space["least_arena"]["arena_bytes"]),
        *(found["params"], found["sram_bytes"], found["constant_bytes"]),
        *(measured["sram_bytes"], measured["external_flash_bytes"], measured["flash_bytes"]),
        measured["kernel_code_bytes"],
    ):
        assert f"{value:,}" in PAGE, value
    assert f"{measured['instructions'] / 1e6:,.0f} M" in PAGE
    assert measured["sram_bytes"] <= found["sram_bytes"] <= 320 * 1024
    assert measured["kernel_code_bytes"] <= 32 * 1024
    assert abs(found["instructions"] / measured["instructions"] - 1) < 0.03
    assert "TRANSPOSE" not in space["largest_operators"]
    assert f"{100 * space['share_sram']:.0f} %" in PAGE


def test_the_tables_are_of_the_records():
    assert search_tables.render(PAGE) == PAGE, "run: python -m benchmarks.search_tables"


def test_extracted_networks_are_those_of_the_supernet():
    for row in record("extract_equality.json")["spaces"]:
        assert row["networks"] == len(row["differences"])
        assert row["worst"] == max(row["differences"])
        assert row["worst"] < {"float32": 2e-5, "float64": 1e-12}[row["dtype"]]


def test_what_is_far_in_float32_is_equal_in_float64():
    for row in record("extract_rounding.json")["rows"]:
        assert row["apart_float64"] < 1e-12
        bound = row["supernet_rounding"] + row["extracted_rounding"]
        assert row["apart_float32"] <= 1.01 * bound


def test_shares_are_counted_or_have_an_interval():
    rows = record("space_shares.json")["rows"]
    assert len({(row["space"], row["board"]) for row in rows}) == len(rows)
    for row in rows:
        assert row["share_both"] <= min(row["share_sram"], row["share_flash"])
        assert (row["largest_params"] is not None) == (row["share_both"] > 0)
        assert bool(row["drawn"]) == bool(row["interval"])


def test_a_share_of_nothing_says_why():
    row = {"share_both": 0.0, "share_sram": 1.0, "share_flash": 0.0, "interval": 0.0, "drawn": 0}
    assert search_tables.share(row) == "0 (flash)"
    assert search_tables.share({**row, "share_sram": 0.0}) == "0 (SRAM)"
    row = {**row, "share_sram": 0.5, "share_flash": 0.075, "drawn": 30, "interval": 0.02}
    assert search_tables.share(row) == "0 of 30 (SRAM 50 %, flash 7.5 %)"
    row = {**row, "share_both": 0.928, "drawn": 400, "interval": 0.027}
    assert search_tables.share(row) == "92.8 ± 2.7 %"
    assert search_tables.share({**row, "drawn": 0}) == "92.8 %"


@pytest.mark.parametrize("name", ["search_digits", "search_cifar10_repeat"])
def test_a_ranking_stands_beside_that_of_sizes(name):
    ranking = record(f"{name}.json")["ranking"]
    assert {"params", "macs", "tokens"} <= set(ranking["rows"][0])
    found = correlations(ranking["rows"])
    assert found["spearman"] == pytest.approx(ranking["spearman"])
    assert found["baselines"] == ranking["baselines"]
    for figures in (found, *found["baselines"].values()):
        low, high = figures["interval"]
        assert f"{low:.2f} to {high:.2f}" in PAGE
    for baseline, word in (("macs", "multiply-accumulates"), ("params", "parameters")):
        assert f"{word} {found['baselines'][baseline]['spearman']:.2f}" in PAGE


def test_a_record_of_an_evolution_names_no_folders():
    trained = dict.fromkeys(("seed", "epochs", "steps", "seconds", "images", "networks"), 1)
    trained["command"] = "python -m nas.train_supernet --out=/home/me/supernet --epochs=4"
    error = {"et_error": 0.5}
    step = {"before": "width 8,16, depth 1,2", "after": "width 16,24, depth 1,2"}
    step |= {"error_before": error, "error_after": error, "error_control": None}
    steps = {"command": "python -m nas.evolve_space --json=/a/b.json", "steps": [step]}
    found = space_evolution.record(trained, steps, 7)
    assert found["command"] == "python -m nas.evolve_space --json=b.json"
    assert "/home" not in json.dumps(found)
    assert (found["cpu_seconds"], found["steps"]) == (7, [step])


def test_the_table_of_an_evolution_says_what_moved(tmp_path, monkeypatch):
    monkeypatch.setattr(search_tables, "RESULTS", tmp_path)
    assert "Not measured" in search_tables.SECTIONS["rounds"]()
    error = {"et_error": 0.5}
    step = {"before": "width 8,16, depth 1,2", "after": "width 16,24, depth 1,2"}
    step |= {"error_before": error, "error_after": {"et_error": 0.4}, "error_control": None}
    (tmp_path / "space_evolution.json").write_text(json.dumps({"command": "c", "steps": [step]}))
    assert "| 1 | 50.00 % | **40.00 %** | - | width 8,16 -> width 16,24 |" in (
        search_tables.SECTIONS["rounds"]()
    )
