# SPDX-License-Identifier: Apache-2.0
"""Extracted networks are their supernet's: in float64, where rounding hides next to nothing."""

import keras
import numpy as np
import pytest

from benchmarks.extract_equality import (
    both_logits,
    computing_in,
    difference,
    drawn_images,
    drawn_network,
    randomized,
)
from benchmarks.extract_rounding import as_float64, row
from tests.nas.supernet.test_staged_supernet import HYBRID, WINDOWS
from tests.nas.supernet.test_supernet import SPACE_KINDS

SPACES = {**{kind: SPACE_KINDS[kind] for kind in ("every_dimension", "stems")},
          "hybrid": HYBRID, "windows": WINDOWS}  # fmt: skip
ROUNDED = 1e-13  # of float64, whose last bit is 2e-16


@pytest.mark.parametrize("name", SPACES)
def test_extracted_networks_are_equal_in_float64(name):
    space = SPACES[name]
    images = drawn_images(space, 0).astype(np.float64)
    with computing_in("float64"):
        net = randomized(space, 0)
        for number in range(2):
            expected, plain, _ = both_logits(net, drawn_network(space, 0, number), images)
            assert expected.dtype == plain.dtype == np.float64
            assert difference(plain, expected) < ROUNDED


def test_what_float32_hides_shows_in_float64():
    """A change of one weight that is less than the tests' bound in float32."""
    space = SPACE_KINDS["stems"]
    images = drawn_images(space, 0).astype(np.float64)
    with computing_in("float64"):
        net, config = randomized(space, 0), drawn_network(space, 0, 0)
        before, plain, _ = both_logits(net, config, images)
        head = net.table["head/bias"]
        head.assign(np.asarray(head) * (1 + 1e-8))
        after = np.asarray(net(images[:1], masks=net.masks(config), form=config.form))
    assert difference(plain, before) < ROUNDED < difference(plain, after) < 2e-5


def test_rounding_is_told_apart_and_types_stay_what_they_were():
    space = SPACE_KINDS["cls_padded"]
    net = randomized(space, 0)
    found = row((net, as_float64(net, space, 0)), space, 0, 1)
    assert found["network"] == 1
    assert found["apart_float64"] < ROUNDED
    roundings = found["supernet_rounding"], found["extracted_rounding"]
    assert 0 < max(roundings) < 2e-5
    assert found["apart_float32"] <= 1.01 * sum(roundings)
    assert keras.config.floatx() == keras.config.dtype_policy().name == "float32"
