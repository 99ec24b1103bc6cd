# SPDX-License-Identifier: Apache-2.0
"""The page of a network in a browser: its figures are those of `--json`, and names are text."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from converter import tflite
from converter.plan import plan_model
from converter.sensitivity.report import OperatorSensitivity, SensitivityReport
from keras_models.presets import PRESETS
from tests.browser import Element, Shown, shown, wider_than_a_phone
from tests.commands import run_here
from tests.converter.inspect.pages import HOSTILE, fused, plain_block, renamed, with_classes
from tests.converter.plan.vit_models import fused_model
from tflm_vit.files import write_json

pytest.importorskip("altair", reason="needs the extra: pip install 'tflm-vit[report]'")
pytest.importorskip("vl_convert", reason="needs the extra: pip install 'tflm-vit[report]'")

FIGURES = ("memory-bars", "latency-bar", "memory-map", "operator-times", "graph", "sensitivity")


def study(content: bytes, path: Path) -> Path:
    """What converter.sensitivity would write for a file."""
    graph = tflite.parse(content).graph
    operators = tuple(
        OperatorSensitivity(i, op.name, graph.tensors[op.outputs[0]].name, 30.0 + i, 40.25 + i,
                            None, None if i else 22.5, None)
        for i, op in enumerate(graph.operators)
    )  # fmt: skip
    report = SensitivityReport(
        "command", "2", "net", "minmax", 8, 4, None, None, 21.0, operators, ()
    )
    write_json(path, dataclasses.asdict(report))
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shown, dict[str, Any], str]:
    """The page of a fused block with all that can be in it, its JSON and its source."""
    folder = tmp_path_factory.mktemp("page")
    plain = plain_block()
    content = fused(plain)
    (folder / "plain.tflite").write_bytes(plain)
    (folder / "fused.tflite").write_bytes(content)
    done = run_here(
        "converter.inspect",
        f"--model={folder / 'fused.tflite'}",
        f"--plain_model={folder / 'plain.tflite'}",
        f"--sensitivity={study(content, folder / 'study.json')}",
        "--board=stm32f746g_disco",
        "--latency_ms=1000",
        f"--html={folder / 'page.html'}",
        f"--json={folder / 'page.json'}",
    )
    assert done.returncode == 0, done.stderr
    data = json.loads((folder / "page.json").read_text(encoding="utf-8"))
    source = (folder / "page.html").read_text(encoding="utf-8")
    return shown(folder / "page.html", folder), data, source


def is_figure(element: Element) -> bool:
    return "vega-embed" in (element.attributes.get("class") or "").split()


def labels(page: Shown, pattern: str) -> set[tuple[str, ...]]:
    """Groups of the pattern in the labels that are wholly it."""
    return {m.groups() for text in page.labels() if (m := re.fullmatch(pattern, text))}


def test_nothing_goes_wrong_in_the_browser(page: tuple[Shown, dict[str, Any], str]) -> None:
    seen, _, _ = page
    assert seen.console == ()
    ids = [e.attributes["id"] for e in seen.elements if is_figure(e)]
    assert ids == list(FIGURES)
    assert sum(e.name == "svg" for e in seen.elements) == len(FIGURES)


def test_memory_is_that_of_the_json(page: tuple[Shown, dict[str, Any], str]) -> None:
    seen, data, _ = page
    parts = {
        (use["name"], name, f"{size:,}") for use in data["memories"] for name, size in use["parts"]
    }
    assert labels(seen, r"(\w+): ([\w ]+), ([\d,]+) bytes") == parts
    buffers = {
        (b["name"], b["kind"], f"{b['size_bytes']:,}", f"{b['offset']:,}") for b in data["buffers"]
    }
    assert labels(seen, r"(.+): (.+), ([\d,]+) bytes at ([\d,]+)") == buffers
    assert f"{data['arena_bytes']:,} bytes, which is proved" in seen.text


def test_times_are_those_of_the_json(page: tuple[Shown, dict[str, Any], str]) -> None:
    seen, data, _ = page
    names = {
        "instructions": "compute_ms",
        "constants read from flash": "weights_ms",
        "activations through the cache": "activations_ms",
    }
    expected = {
        (str(op["op"]), op["name"], part, f"{op['time'][key]:.3f}")
        for op in data["ops"]
        for part, key in names.items()
    }
    assert labels(seen, r"operator (\d+) (\w+): (.+), ([\d.]+) ms \(estimate\)") == expected
    told = data["latency_estimate"]
    whole = sum(float(ms) for (ms,) in labels(seen, r"(?:instructions|read of \w+), ([\d.]+) ms.*"))
    assert whole == pytest.approx(told["low_ms"], abs=0.002)
    assert sum(sum(op["time"].values()) for op in data["ops"]) == pytest.approx(
        told["low_ms"], abs=0.002
    )


def cells(page: Shown, words: Iterable[Any]) -> bool:
    """Whether the words follow each other in the page's text."""
    shown_words = [f"{w:,.2f}" if isinstance(w, float) else f"{w:,}" if isinstance(w, int) else w
                   for w in words]  # fmt: skip
    return "".join(shown_words) in page.text


def test_operators_are_those_of_the_json(page: tuple[Shown, dict[str, Any], str]) -> None:
    seen, data, _ = page
    for op in data["ops"]:
        time = sum(op["time"].values())
        numbers = (op["macs"], op["instructions"], time, op["constant_bytes"])
        rest = (op["weight_bytes_read"], op["live_bytes"], op["scratch_bytes"], op["schedule"])
        assert cells(seen, (op["output"], *numbers, *rest)), op
    assert sum(op["constant_bytes"] for op in data["ops"]) == data["flash"]["constant_bytes"]


def test_graph_and_study_are_those_of_the_json(page: tuple[Shown, dict[str, Any], str]) -> None:
    seen, data, _ = page
    plain = data["before"]["operators"]
    expected = {(str(i), plain[i]) for each in data["before"]["replaced"] for i in each}
    assert labels(seen, r"before: (\d+) (\w+), .*") == expected
    assert len(expected) == len(plain)  # every one became a part of something
    after = {
        (str(i), op["name"], str(len(each)))
        for i, (op, each) in enumerate(zip(data["ops"], data["before"]["replaced"], strict=True))
    }
    assert labels(seen, r"after: (\d+) (\w+), .*, replaces (\d+)") == after
    bars = {
        (str(o["index"]), which, "exact" if o[key] is None else f"{o[key]:.1f} dB")
        for o in data["sensitivity"]["operators"]
        for which, key in (("integers", "alone_db"), ("float", "left_out_db"))
    }
    assert labels(seen, r"operator (\d+) \w+ alone in (\w+): (.*)") == bars


def test_nothing_scrolls_sideways_on_a_phone(
    page: tuple[Shown, dict[str, Any], str], tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(page[2], encoding="utf-8")
    assert not wider_than_a_phone(tmp_path / "page.html", tmp_path)


def test_the_page_loads_nothing(page: tuple[Shown, dict[str, Any], str]) -> None:
    seen, _, source = page
    for element in seen.elements:
        for name in ("src", "href", "xlink:href"):
            value = element.attributes.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, element
    assert "default-src 'none'" in html.unescape(source)
    assert "prefers-color-scheme: dark" in source
    assert "@media print" in source
    assert 'name="viewport"' in source


def test_axes_have_titles_with_units(page: tuple[Shown, dict[str, Any], str]) -> None:
    seen, _, _ = page
    titles = {
        m[1] for label in seen.labels() if (m := re.match(r"[XY]-axis titled '(.*?)' ", label))
    }
    assert {t.rpartition(", ")[2] for t in titles if ", " in t} >= {"%", "bytes", "ms (estimate)"}
    assert any("dB" in t for t in titles)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = f"{HOSTILE[1].replace('/', '')}.tflite"
    model = tmp_path / name
    model.write_bytes(
        with_classes(plan_model(renamed(fused_model(PRESETS["test_tiny"]))).model_bytes)
    )
    done = run_here(
        "converter.inspect", f"--model={model}", f"--html={tmp_path / 'page.html'}",
        f"--json={tmp_path / 'page.json'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = shown(tmp_path / "page.html", tmp_path, width=390)
    assert seen.console == ()
    assert not [e for e in seen.elements if e.name in ("img", "b") and "src" in e.attributes]
    assert not [e for e in seen.elements if any(a.startswith("on") for a in e.attributes)]
    figures = [e for e in seen.elements if is_figure(e)]
    assert len(figures) == 2
    assert sum(e.name == "script" for e in seen.elements) == 1 + len(figures)
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2]):
        assert text in seen.text
    assert "\\u202eflipped \\u0000\\u001b[2J\\u2028" in seen.text
    assert not set("\u202e\x1b\u2028") & set(seen.text)


def test_a_study_or_a_plain_model_of_another_network_is_refused(tmp_path: Path) -> None:
    model, other = tmp_path / "fused.tflite", tmp_path / "other.tflite"
    content = plan_model(fused_model(PRESETS["test_tiny"])).model_bytes
    model.write_bytes(content)
    other.write_bytes(plain_block())
    page = tmp_path / "page.html"
    done = run_here("converter.inspect", f"--model={model}", f"--plain_model={other}",
                    f"--html={page}")  # fmt: skip
    assert done.returncode == 1
    assert "expected the file that it was fused from" in done.stderr
    report = study(fused(plain_block()), tmp_path / "study.json")
    done = run_here("converter.inspect", f"--model={model}", f"--sensitivity={report}",
                    f"--html={page}")  # fmt: skip
    assert done.returncode == 1
    assert "a study of 2 operators of net, expected one of the 7 operators" in done.stderr
    assert not page.exists()


def test_a_limit_of_latency_is_a_budget(tmp_path: Path) -> None:
    model = tmp_path / "fused.tflite"
    model.write_bytes(fused(plain_block()))
    done = run_here("converter.inspect", f"--model={model}", "--board=stm32f746g_disco",
                    "--latency_ms=0.001")  # fmt: skip
    assert done.returncode == 1
    assert "over budget: latency needs 0.1 ms (estimate), the limit is 0.001 ms" in done.stderr
    done = run_here("converter.inspect", f"--model={model}", "--latency_ms=1")
    assert done.returncode == 1
    assert "no estimate; expected a board" in done.stderr
