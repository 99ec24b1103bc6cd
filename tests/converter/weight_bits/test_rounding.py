# SPDX-License-Identifier: Apache-2.0
"""Numbers of 4 bits: to the nearest, against what a layer reads, and which layers get them."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import weight_groups
from converter.weight_bits.choice import cheapest
from converter.weight_bits.layers import WeightLayer
from converter.weight_bits.moments import Moments
from converter.weight_bits.rounding import Rounded, against_inputs, nearest
from keras_models.load import SHIPPED

seeds = st.integers(0, 1 << 30)


def weights_and_inputs(seed, channels=5, inputs=12, rows=200):
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(inputs // 2, inputs)) + 0.3 * rng.normal(size=(inputs // 2, inputs))
    x = rng.normal(size=(rows, inputs // 2)) @ mixed + 0.1 * rng.normal(size=(rows, inputs))
    return rng.normal(size=(channels, inputs)), x


def output_error(rounded: Rounded, weights, x):
    return float(np.square((x - x.mean(axis=0)) @ (rounded.values - weights).T).sum())


@given(seeds)
def test_nearest_uses_the_whole_range_and_errs_by_half_a_unit(seed):
    weights, _ = weights_and_inputs(seed)
    found = nearest(weights)
    assert found.numbers.dtype == np.int8
    assert np.array_equal(np.abs(found.numbers).max(axis=1), np.full(len(weights), 7))
    assert np.all(np.abs(found.values - weights) <= 0.5001 * found.scale[:, None])
    assert np.array_equal(found.scale, found.scale.astype(np.float32))


def test_a_channel_of_zeros_stays_zero():
    for found in (
        nearest(np.zeros((2, 3))),
        against_inputs(np.zeros((2, 3)), Moments.of(np.eye(3))),
    ):
        assert not found.numbers.any()
        assert np.all(found.scale > 0)


def test_against_inputs_that_depend_on_each_other_the_outputs_err_less():
    ratios = []
    for seed in range(20):
        weights, x = weights_and_inputs(seed)
        found = against_inputs(weights, Moments.of(x))
        assert np.abs(found.numbers).max() <= 7
        ratios.append(output_error(found, weights, x) / output_error(nearest(weights), weights, x))
    assert np.median(ratios) < 0.5


def test_inputs_that_changed_are_made_up_for():
    """What the layer reads has shrunk and mixed: weights aim at the float network's outputs."""
    ratios = []
    for seed in range(20):
        weights, x = weights_and_inputs(seed)
        rng = np.random.default_rng(seed)
        y = 0.8 * x + 0.1 * rng.normal(size=x.shape) + 0.3
        both, alone = (against_inputs(weights, m) for m in (Moments.of(x, y), Moments.of(y)))
        wanted = x @ weights.T
        errors = [np.square(y @ r.values.T + r.bias - wanted).sum() for r in (both, alone)]
        ratios.append(errors[0] / errors[1])
        np.testing.assert_allclose((y @ both.values.T + both.bias).mean(0), wanted.mean(0))
    assert np.median(ratios) < 0.6


def layers(sizes):
    return [
        WeightLayer(i, f"layer {i}", 0, 0, -1, np.zeros((4, size)), 1.0)
        for i, size in enumerate(sizes)
    ]


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0.01, 1.0)), min_size=1, max_size=6), seeds)
def test_chosen_layers_save_enough_and_none_is_needless(drawn, seed):
    found, noise = layers([2 * size for size, _ in drawn]), [n for _, n in drawn]
    saved = [layer.saved_bytes for layer in found]
    over = int(np.random.default_rng(seed).integers(0, sum(saved) + 1))
    chosen = cheapest(found, noise, over)
    total = sum(saved[i] for i in chosen)
    assert total >= over
    assert all(total - saved[i] < over for i in chosen)


def test_of_layers_of_one_size_the_quietest_are_chosen():
    found = layers([8] * 4)
    for noise in itertools.permutations([0.1, 0.2, 0.3, 0.4]):
        chosen = cheapest(found, noise, 2 * found[0].saved_bytes)
        assert sorted(noise[i] for i in chosen) == [0.1, 0.2]


@pytest.mark.parametrize(("mean", "std"), [(2.0, 0.002), (255.0, 0.05), (1.1, 0.0)])
def test_inputs_that_hardly_change_are_rounded_against_as_well(mean, std):
    """Sums in float32 give them a covariance that is not positive definite."""
    rng = np.random.default_rng(0)
    rows = (mean + std * rng.normal(size=(1000, 48))).astype(np.float32)
    weights = rng.normal(size=(4, 48))
    rounded = against_inputs(weights, Moments.of(rows))
    got = rows @ rounded.values.T + rounded.bias
    np.testing.assert_allclose(got.mean(0), (rows @ weights.T).mean(0), rtol=1e-5)


def test_inputs_that_are_not_finite_are_refused():
    rows = np.full((9, 4), np.inf, np.float32)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="not finite"):
        against_inputs(np.ones((2, 4)), Moments.of(rows))


def test_what_groups_of_inputs_would_gain_was_recorded():
    docs = Path(__file__).parents[3] / "docs"
    record = json.loads((docs / "results" / "weight_groups.json").read_text())
    page = (docs / "weight_bits.md").read_text()
    for name, found in record.items():
        for group, gain in found["mean_gain_db"].items():
            most, bytes_more = found["largest_gain_db"][group], 100 * found["more_flash"][group]
            row = f"{len(found['layers'])} | {group} | {gain:.2f} | {most:.2f} | {bytes_more:.2f} %"
            assert f"| `{name}` | {row} |" in page
    again = weight_groups.measured(os.path.join(SHIPPED, "hybrid_32"))
    assert again["layers"] == record["hybrid_32"]["layers"]
