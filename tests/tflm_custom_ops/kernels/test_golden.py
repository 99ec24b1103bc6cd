# SPDX-License-Identifier: Apache-2.0
"""The C++ tests' golden values are those that the NumPy reference gives today."""

from tests.tflm_custom_ops.kernels import make_golden


def test_golden_data_is_what_the_reference_gives():
    assert make_golden.PATH.read_text() == make_golden.render(), (
        "run: python -m tests.tflm_custom_ops.kernels.make_golden"
    )
