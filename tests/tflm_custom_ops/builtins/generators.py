# SPDX-License-Identifier: Apache-2.0
"""Every generator of one-op models: one list for the tests of values, C and sanitizers."""

from __future__ import annotations

from tests.tflm_custom_ops.builtins import cases, more_cases, move_cases, product_cases

_FILES = (cases, move_cases, product_cases, more_cases)
GENERATORS = tuple(generate for file in _FILES for generate in file.GENERATORS)
