# SPDX-License-Identifier: Apache-2.0
"""docs/accuracy.md and docs/training.md are what the recorded results give, and those meet the
targets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import accuracy_tables
from benchmarks.accuracy_record import TARGET_INT8_GAIN_DB, TARGET_INT16_DB, paired_loss


@pytest.mark.parametrize("document", accuracy_tables.DOCUMENTS, ids=lambda path: path.name)
def test_the_document_is_current(document) -> None:
    text = document.read_text()
    assert accuracy_tables.render(document, text) == text


def test_recorded_targets() -> None:
    data = json.loads((accuracy_tables.RESULTS / "accuracy_vit_t_240.json").read_text())
    plain, int8, int16 = (v["sqnr_db"] for v in data["variants"])
    assert int8 >= plain + TARGET_INT8_GAIN_DB
    assert int16 >= TARGET_INT16_DB


def test_augmentation_is_as_fast_as_it_was_to_be() -> None:
    data = json.loads((accuracy_tables.RESULTS / "augmentation_speed.json").read_text())
    times = [each["times"] for each in data["results"] if each["recipe"] == "default"]
    assert len(times) == 2
    assert min(times) >= data["goal_times"]


def test_results_name_no_machine() -> None:
    for path in accuracy_tables.RESULTS.glob("accuracy_*.json"):
        assert "=/" not in path.read_text()


def test_paired_loss() -> None:
    right = np.array([1, 1, 1, 0, 1, 0, 1, 1, 1, 1] * 40, bool)
    worse = right.copy()
    worse[:20] = False
    loss, low, high = paired_loss(right, worse)
    assert loss == pytest.approx(right[:20].sum() / 400)
    assert 0 < low < loss < high < 0.08
    assert paired_loss(right, right) == (0.0, 0.0, 0.0)
