# SPDX-License-Identifier: Apache-2.0
"""Rendered scenes with exact depth, labels and boxes: training data that a script makes from a
seed."""
