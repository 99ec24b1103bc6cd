# SPDX-License-Identifier: Apache-2.0
"""Figures of merit, against numbers that can be checked by hand or by scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from converter.evaluate.metrics import sqnr_db
from keras_models.tasks import accuracy as metrics

LOGITS = np.array(
    [
        [9, 0, 1, 2, 3, 4, 5],  # 0
        [0, 9, 1, 2, 3, 4, 5],  # 1
        [7, 7, 1, 2, 3, 4, 5],  # a tie: 0
        [0, 1, 2, 3, 4, 5, 6],  # 6; 2 is fifth, 1 is sixth
    ],
    np.int8,
)


def test_top_1_top_5_and_confusion():
    scores = metrics.classification(LOGITS, np.array([0, 0, 0, 2]))
    assert scores.images == 4
    assert scores.top1 == 0.5
    assert scores.top5 == 0.75  # 0 is the last of the second row
    expected = np.zeros((7, 7), np.int64)
    expected[0, 0], expected[0, 1], expected[2, 6] = 2, 1, 1
    np.testing.assert_array_equal(scores.confusion, expected)
    assert metrics.classification(LOGITS, np.array([0, 0, 0, 1])).top5 == 0.5


def test_ties_go_to_the_lowest_class():
    assert metrics.predictions(LOGITS).tolist() == [0, 1, 0, 6]
    assert metrics.classification(LOGITS[2:3], np.array([1])).top1 == 0.0


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (10, 10), (7, 10), (9312, 10000)])
def test_wilson_interval(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    got = metrics.wilson_interval(hits, trials)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high))


def test_sqnr():
    reference = np.array([[3.0, 4.0]])
    assert sqnr_db(reference, reference) == math.inf
    assert sqnr_db(reference, np.array([[3.0, 4.5]])) == pytest.approx(20.0)
    # A head of zeros that nobody trained: it was a "math domain error".
    assert sqnr_db(np.zeros(2), np.ones(2)) == -math.inf
    assert sqnr_db(np.zeros(2), np.zeros(2)) == math.inf


def test_labels_that_do_not_fit():
    with pytest.raises(ValueError, match="got 3, expected 4"):
        metrics.classification(LOGITS, np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="the model has 7 classes"):
        metrics.classification(LOGITS, np.array([0, 1, 2, 7]))
