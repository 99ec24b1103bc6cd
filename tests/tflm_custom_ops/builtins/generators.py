# SPDX-License-Identifier: Apache-2.0
"""Every generator of one-op models: one list for the tests of values, C and sanitizers."""

from __future__ import annotations

from tests.tflm_custom_ops.builtins import cases, move_cases, product_cases

GENERATORS = (*cases.GENERATORS, *move_cases.GENERATORS, *product_cases.GENERATORS)
