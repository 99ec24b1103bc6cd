# SPDX-License-Identifier: Apache-2.0
"""Networks as people bring them, with random weights: what fuses, what runs, how near it is."""
