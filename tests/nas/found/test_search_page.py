# SPDX-License-Identifier: Apache-2.0
"""The page of a search in a browser: its figures are those of `--json`, read from the study."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.cost.model import CostModel
from nas.cost.sampler import Sampler
from nas.cost.targets import Target
from nas.evolution.rounds import Errors
from nas.found.results import read_search
from nas.search.storage import STUDY_FILE, open_study
from nas.search.study import Searcher
from nas.space.presets import SPACES
from tests.browser import Shown, shown, wider_than_a_phone
from tests.commands import run_here
from tflm_vit.files import write_json

SPACE = SPACES["digits_8"]
MODEL = CostModel(Target(sram_bytes=12 * 1024, flash_bytes=72 * 1024))
HOSTILE = "</script><img src=x onerror=console.error(1)>"


def accuracy(config: Any) -> float:
    """Grows with the embedding above all."""
    arch = SPACE.arch(config)
    return float(0.5 + 0.01 * np.log(arch.params) + arch.embed_dim / 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as nas.search leaves it, and one of nas.evolve_space."""
    found = tmp_path_factory.mktemp("found")
    setup = {
        "space": json.loads(SPACE.to_json()), "model": MODEL.to_dict(), "algorithm": "nsga2",
        "source": {"dataset": HOSTILE}, "seed": 0, "population": 12,
    }  # fmt: skip
    study = open_study(str(found / STUDY_FILE), json.dumps(setup), False)
    Searcher(study, Sampler(SPACE, MODEL, 0), accuracy, 0, 12).run(20)
    evolved = found / "evolved"
    evolved.mkdir()
    errors = [vars(Errors(e, e, e, 1.0)) for e in (0.3, 0.28, 0.25)]
    rows = [
        {"before": "a", "after": HOSTILE, "error_before": errors[0], "error_control": errors[1],
         "error_after": errors[2]},
    ]  # fmt: skip
    write_json(evolved / "steps.json", {"steps": rows})
    return found


@pytest.fixture(scope="module")
def page(folder: Path) -> tuple[Shown, dict[str, Any]]:
    pytest.importorskip("altair", reason="needs the extra: pip install 'tflm-vit[report]'")
    pytest.importorskip("vl_convert", reason="needs the extra: pip install 'tflm-vit[report]'")
    done = run_here(
        "nas.report", f"--search={folder}", f"--evolved={folder / 'evolved'}",
        f"--html={folder / 'page.html'}", f"--json={folder / 'page.json'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = json.loads((folder / "page.json").read_text(encoding="utf-8"))
    return shown(folder / "page.html", folder, width=390), data


def labels(page: Shown, pattern: str) -> list[tuple[str, ...]]:
    return [m.groups() for text in page.labels() if (m := re.fullmatch(pattern, text))]


def test_points_are_the_trials_of_the_json(page: tuple[Shown, dict[str, Any]]) -> None:
    seen, data = page
    expected = {
        (
            "Pareto front" if t["number"] in data["front"] else "evaluated",
            str(t["number"]), f"{100 * t['accuracy']:.2f}", f"{t['latency_ms']:.1f}",
        )
        for t in data["trials"]
    }  # fmt: skip
    found = labels(seen, r"(.+): trial (\d+), ([\d.]+) %, ([\d.]+) ms \(estimate\)")
    assert set(found) == expected
    assert len(found) == len(data["trials"]) == 20
    best = {t["number"]: t for t in data["trials"]}
    for number in data["front"]:
        assert not [
            t for t in data["trials"]
            if t["accuracy"] > best[number]["accuracy"]
            and t["latency_ms"] <= best[number]["latency_ms"]
        ]  # fmt: skip


def test_importances_and_steps_are_those_of_the_json(page: tuple[Shown, dict[str, Any]]) -> None:
    seen, data = page
    bars = {(i["dimension"], f"{100 * i['share']:.1f}") for i in data["importances"]}
    assert set(labels(seen, r"(\w+): ([\d.]+) % of the variance")) == bars
    assert data["importances"][0]["dimension"] == "embed_dim"
    assert sum(i["share"] for i in data["importances"]) == pytest.approx(1)
    points = {("evolved space", "0", "30.00"), ("old space, trained on", "1", "28.00"),
              ("evolved space", "1", "25.00")}  # fmt: skip
    assert set(labels(seen, r"(.+): step (\d+), E-T error ([\d.]+) %")) == points


def test_names_stay_text_and_nothing_goes_wrong(page: tuple[Shown, dict[str, Any]]) -> None:
    seen, _ = page
    assert seen.console == ()
    assert HOSTILE in seen.text
    assert not [e for e in seen.elements if e.name == "img"]
    figures = [e for e in seen.elements if "vega-embed" in (e.attributes.get("class") or "")]
    assert [e.attributes["id"] for e in figures] == ["front", "progress", "importance", "evolution"]


def test_nothing_scrolls_sideways_on_a_phone(
    folder: Path, page: tuple[Shown, dict[str, Any]], tmp_path: Path
) -> None:
    assert page
    assert not wider_than_a_phone(folder / "page.html", tmp_path)


_HIDDEN = """<script>addEventListener("load", () => {
  const hidden = e => e.scrollWidth - e.clientWidth;
  document.body.dataset.hidden = Math.max(...[...document.querySelectorAll(".scroll")].map(hidden));
});</script>"""


def test_networks_of_several_stages_are_read_without_scrolling(
    folder: Path, page: tuple[Shown, dict[str, Any]], tmp_path: Path
) -> None:
    """On a desktop: what a network is stands in the last column, and is longer than the others."""
    from nas.found.page import search_page

    found = read_search(str(folder / STUDY_FILE))
    long = "; ".join(["attention, 128 wide, 3 deep, heads 2,1,3, mlp 1,2,1, rank 32"] * 3)
    trials = tuple(dataclasses.replace(trial, network=long) for trial in found.trials)
    text = search_page(dataclasses.replace(found, trials=trials))
    (tmp_path / "long.html").write_text(text + _HIDDEN, encoding="utf-8")
    seen = shown(tmp_path / "long.html", tmp_path, width=1280)
    (body,) = (e for e in seen.elements if e.name == "body")
    assert body.attributes["data-hidden"] == "0"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--html=x.html"], "--html: expected --search, a folder of nas.search"),
        (["--search=nowhere"], "nowhere/study.log: No such file or directory"),
        (["--search={folder}", "--evolved={folder}"], "no evolution.json and no steps.json"),
    ],
)
def test_what_is_no_search_is_one_line(folder: Path, words: list[str], line: str) -> None:
    done = run_here("nas.report", *(w.format(folder=folder) for w in words))
    assert done.returncode == 1
    assert line in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_file_that_is_no_study_is_refused(tmp_path: Path) -> None:
    (tmp_path / STUDY_FILE).write_text("{}\n", encoding="utf-8")
    done = run_here("nas.report", f"--search={tmp_path}")
    assert done.returncode == 1
    assert "not a study: got a file of something else" in done.stderr
