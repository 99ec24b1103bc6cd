# SPDX-License-Identifier: Apache-2.0
"""Estimated instructions against counts of networks that the fit has not seen."""

import json

import numpy as np
import pytest

from benchmarks import cost_error
from benchmarks.frozen.record import ROOT

EVERY = 5  # of the recorded networks
EMULATED = (2, 12)  # whose operators are counted again


@pytest.fixture(scope="module")
def networks():
    return json.loads((ROOT / "docs" / "results" / "cost_error.json").read_text())["networks"]


def test_the_search_sees_what_the_emulator_counts(networks):
    chosen = range(0, len(networks), EVERY)
    errors = []
    for number in chosen:
        estimate = cost_error.estimate(cost_error.form(number))
        assert round(estimate) == networks[number]["estimate"], f"record again: {number}"
        errors.append(abs(estimate / networks[number]["counted"] - 1))
    assert np.mean(errors) < 0.012
    assert np.mean(np.array(errors) <= 0.03) > 0.93
    assert max(errors) < 0.06


@pytest.mark.parametrize("number", EMULATED)
def test_the_recorded_counts_are_those_of_today(networks, number):
    network = cost_error.form(number)
    assert cost_error.describe(network) == networks[number]["what"]
    assert cost_error.counted(network, cost_error.machine()) == networks[number]["counted"]
