# SPDX-License-Identifier: Apache-2.0
"""The error function against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from converter.fuse.erf import erf


def test_it_is_scipys_to_the_last_bits() -> None:
    x = np.concatenate([np.linspace(-7, 7, 100_003), [np.inf, -np.inf, 0.0, -0.0, 1e-300]])
    assert np.abs(erf(x) - scipy.special.erf(x)).max() < 1e-15
    assert np.isnan(erf(np.array([np.nan, 1.0]))).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_and_type_are_kept(dtype: type) -> None:
    result = erf(np.ones((2, 3), dtype))
    assert result.shape == (2, 3)
    assert result.dtype == dtype


def test_float32_is_right_to_its_last_bits() -> None:
    x = np.linspace(-7, 7, 100_003).astype(np.float32)
    assert np.abs(erf(x) - scipy.special.erf(x)).max() <= 1.2e-7
