# SPDX-License-Identifier: Apache-2.0
"""The table of residual types, and those who state it in their own terms."""

import numpy as np
import pytest

from converter.tflite.schema import DTYPES, schema
from tflm_custom_ops.ops import OptionsError
from tflm_custom_ops.ops.schema.fields import ELEMENTS
from tflm_custom_ops.ops.schema.residual import RESIDUAL_BITS, RESIDUAL_TYPES, residual_type
from tflm_vit import flags


def test_each_row_is_one_type():
    for kind in RESIDUAL_TYPES:
        dtype = np.dtype(kind.dtype)
        assert 8 * dtype.itemsize == kind.bits
        assert (kind.low, kind.high) == (-(1 << kind.bits - 1), (1 << kind.bits - 1) - 1)
        assert DTYPES[getattr(schema.TensorType, kind.tflite)] == dtype
        assert kind.ctype == f"{dtype.name}_t"
        assert np.dtype(ELEMENTS[kind.ctype]) == dtype
        assert residual_type(kind.bits) is kind


def test_flags_and_errors_know_the_same():
    assert tuple(map(int, flags.RESIDUAL_BITS)) == RESIDUAL_BITS
    with pytest.raises(OptionsError, match="residual bits: got 12, expected 8 or 16"):
        residual_type(12)
