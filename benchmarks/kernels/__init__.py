# SPDX-License-Identifier: Apache-2.0
"""Exact instruction counts of the kernels on an emulated Cortex-M."""
