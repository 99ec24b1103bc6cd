# SPDX-License-Identifier: Apache-2.0
"""Estimated instructions against counts of operators and networks that the fit has not seen."""

import json
import pathlib

import numpy as np
import pytest

from benchmarks import conv_instructions, cost_error
from benchmarks.frozen.record import ROOT
from benchmarks.kernels import fit
from tests.recorded_compiler import recorded_compiler_only

EVERY = 5  # of the recorded networks
EMULATED = (2, 12)  # whose operators are counted again
OPERATORS = range(0, 700, 9)  # of those that the fit held out


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
    assert np.mean(errors) < 0.006
    assert max(errors) < 0.03


@recorded_compiler_only()
@pytest.mark.parametrize("number", EMULATED)
def test_the_recorded_counts_are_those_of_today(networks, number):
    network = cost_error.form(number)
    assert cost_error.describe(network) == networks[number]["what"]
    assert cost_error.counted(network, cost_error.machine()) == networks[number]["counted"]


@pytest.fixture(scope="module")
def points():
    return json.loads(fit.POINTS.read_text())


def test_operators_that_the_fit_has_not_seen(points):
    """Every kind and variant; a norm of a row or two depends on its values by more."""
    assert points["held_out"] > max(OPERATORS)
    errors, kinds = [], []
    for number in OPERATORS:
        case = fit.random_case(points["seed"], number)
        assert case.kind == points["kinds"][number]
        errors.append(abs(case.work.instructions / points["counts"][number] - 1))
        kinds.append(case.kind)
    assert len(set(kinds)) == 9
    assert np.mean(errors) < 0.006
    assert max(e for e, kind in zip(errors, kinds, strict=True) if "Norm" not in kind) < 0.031
    assert max(errors) < 0.05


@recorded_compiler_only()
def test_the_recorded_operators_are_counted_so_today(points):
    machine = conv_instructions.machine()
    for number in OPERATORS[:12]:
        assert fit.random_case(points["seed"], number).run(machine) == points["counts"][number]


@recorded_compiler_only()
def test_windows_of_a_grid_that_the_fit_has_not_seen(points):
    """Rolled or not, with any bias, heads that share keys, values of another width."""
    first, machine = len(points["counts"]), conv_instructions.machine()
    cases = [fit.windows_case(points["seed"], number) for number in range(first, first + 16)]
    errors = [abs(case.work.instructions / case.run(machine) - 1) for case in cases]
    assert np.mean(errors) < 0.012
    assert max(errors) < 0.035


def test_the_page_says_how_many_held_out_operators_are_near(points):
    page = (pathlib.Path(cost_error.__file__).parents[1] / "docs" / "search.md").read_text()
    found = points["held_out_errors"]
    assert f"of {points['held_out']} operators that were held out" in page.replace("\n", " ")
    assert f"{100 * found['all']['within_3_percent']:.1f} % are within 3 %" in page
    assert f"({100 * found['LayerNorm']['largest']:.1f} % at most)" in page
    attention = max(found[kind]["largest"] for kind in ("Attention", "AttentionCore"))
    assert f"three attentions ({100 * attention:.1f} %)" in page
