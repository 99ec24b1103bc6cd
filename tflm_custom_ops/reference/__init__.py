# SPDX-License-Identifier: Apache-2.0
"""What the operators' NumPy definitions have in common (docs/operators.md).

Everything is computed in int64 (or in float64 where the result is provably the same integer), and
a parameter set that would overflow int32 on the device raises OverflowError. The operators' own
definitions are in ``tflm_custom_ops/ops/<operator>/reference.py``;
`tflm_custom_ops.ops.run_reference` runs one.
"""
