# SPDX-License-Identifier: Apache-2.0
"""A plain model in TFLM's own kernels on an emulated Cortex-M7, for `benchmarks.compare_tflm`."""
