# SPDX-License-Identifier: Apache-2.0
"""Runs a `.tflite` in each of the runtimes."""
