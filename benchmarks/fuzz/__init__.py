# SPDX-License-Identifier: Apache-2.0
"""Mutants of `.tflite` files: what LiteRT refuses, the reader must refuse."""
