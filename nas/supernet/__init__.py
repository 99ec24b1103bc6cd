# SPDX-License-Identifier: Apache-2.0
"""One set of weights for all networks of a space: masks, training, evaluation, extraction."""
