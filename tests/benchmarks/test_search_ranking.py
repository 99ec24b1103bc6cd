# SPDX-License-Identifier: Apache-2.0
"""`benchmarks.search_ranking`: several trainings of a network, and going on with a file."""

from __future__ import annotations

import json
import types

import pytest

from benchmarks import search_ranking
from benchmarks.search_ranking import EACH
from nas.space.presets import get_space


def row(number, first, second=None):
    each = [first] if second is None else [first, second]
    sizes = {"params": number, "macs": number, "tokens": 4}
    config = {"patch": {"stem": []}}
    return {**sizes, "inherited": number / 10, "alone": sum(each) / len(each), EACH: each,
            "config": config}  # fmt: skip


def test_trainings_are_ranked_against_their_repetition():
    found = search_ranking.ranked([row(1, 0.1, 0.3), row(2, 0.2, 0.2), row(3, 0.3, 0.1)])
    assert found["trained_again"]["spearman"] == pytest.approx(-1)
    assert "trained_again" not in search_ranking.ranked([row(1, 0.1), row(2, 0.2)])


@pytest.fixture
def ranking(monkeypatch, tmp_path):
    """The command with trainings that are pretended: a function of flags -> seeds trained."""
    trained, out = [], tmp_path / "ranking.json"
    net = types.SimpleNamespace(space=get_space("digits_8"))
    monkeypatch.setattr(search_ranking, "load_supernet", lambda folder: net)
    monkeypatch.setattr(search_ranking, "Evaluator", lambda *_: lambda config: 0.5)

    def alone(net, config, data, seed):
        trained.append(seed)
        return seed / 10

    monkeypatch.setattr(search_ranking, "_alone", alone)

    def call(*flags):
        trained.clear()
        search_ranking.main(["--supernet=s", "--dataset=digits", f"--out={out}", "--samples=3",
                             "--board=stm32f746g_disco", *flags])  # fmt: skip
        return list(trained), json.loads(out.read_text())

    return call


def test_a_training_that_the_file_has_is_not_done_again(ranking):
    trained, record = ranking()
    assert trained == [0, 0, 0]
    trained, record = ranking("--trainings=2")
    assert trained == [1, 1, 1]
    assert [each[EACH] for each in record["rows"]] == [[0.0, 0.1]] * 3
    assert record["rows"][0]["alone"] == pytest.approx(0.05)
    assert ranking("--trainings=2")[0] == []


def test_a_file_of_another_recipe_is_not_gone_on_with(ranking, capsys):
    ranking()
    with pytest.raises(SystemExit):
        ranking("--epochs=3")
    assert "ranking.json: its recipe is" in capsys.readouterr().err
