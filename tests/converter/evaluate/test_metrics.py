# SPDX-License-Identifier: Apache-2.0
"""Ratios of signal and noise at their ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from converter.evaluate.metrics import sqnr_db

ZEROS, ONES = np.zeros(4, np.float32), np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("reference", "got", "ratio"),
    [
        (ONES, ONES, math.inf),
        (ZEROS, ZEROS, math.inf),
        (ZEROS, ONES, -math.inf),  # an untrained head of zeros: it was a "math domain error"
        (ONES, 0.9 * ONES, pytest.approx(20)),
    ],
)
def test_ratios(reference, got, ratio):
    assert sqnr_db(reference, got) == ratio
