# SPDX-License-Identifier: Apache-2.0
"""Spoken words of synthesizers as spectrograms: training data that a script makes from a seed."""
