# SPDX-License-Identifier: Apache-2.0
"""Builtin TFLite operators of the compiled runtime: parameters, NumPy reference and portable C.

Their results are bit for bit those of TensorFlow Lite Micro's reference kernels in the pinned
wheel (TFLite's double rounding, unlike the fused operators' single rounding).
"""
