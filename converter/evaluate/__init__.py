# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a quantized model on a data set, in every runtime, and their equality."""
