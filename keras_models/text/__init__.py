# SPDX-License-Identifier: Apache-2.0
"""Pieces of text as bytes: what the data sets of language and topic are made of."""
