# SPDX-License-Identifier: Apache-2.0
"""The gain of fractals is that of paired trainings."""

import pytest

from benchmarks.pretraining import LONGER, WITH, WITHOUT, gain


def test_gain_is_paired_and_has_an_interval():
    rows = [
        {WITH: 0.90, WITHOUT: 0.88, LONGER: 0.91},
        {WITH: 0.80, WITHOUT: 0.79, LONGER: 0.81},
        {WITH: 0.70, WITHOUT: 0.67, LONGER: 0.71},
    ]
    found = gain(rows, WITHOUT)
    assert found["points"] == pytest.approx(2.0)
    # Three differences of 2, 1 and 3 points: 4.303 standard errors of 1 / sqrt(3).
    assert found["interval"] == pytest.approx([2 - 2.4841, 2 + 2.4841], abs=1e-3)
    assert gain(rows, LONGER)["points"] == pytest.approx(-1.0)
    assert gain(rows[:1], WITHOUT) == {"seeds": 1, "points": pytest.approx(2.0), "interval": None}
