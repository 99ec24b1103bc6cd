# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits: which layers have them, and how they are rounded.

layers.py       the layers of a plain graph whose weights can be rounded
moments.py      mean and covariance of what a layer reads
rounding.py     numbers in [-7, 7] and scales: to the nearest, or against the covariance
rewrite.py      the plain graph with other weights, biases corrected
error.py        what rounding does to the network's outputs
choice.py       which layers, under a limit of flash
walk.py         the float network and the one to be, side by side
pipeline.py     all of it for a graph
fused.py        for a file, under a limit of flash
wanted.py       what is asked for
"""
