# SPDX-License-Identifier: Apache-2.0
"""Matrices that resize patch kernels and position embeddings, so that one set of weights serves
several patch sizes.

A kernel for patches of p pixels is the stored kernel, P >= p pixels, seen through bilinear
enlargement: the small patch enlarged to P x P and multiplied with the stored kernel gives the same
number as the patch with the resized kernel U^T.K (FlexiViT, Beyer et al., CVPR 2023, without its
pseudo-inverse, which going down does not need). Positions are averaged down with the same weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def enlarge(small: int, large: int) -> Matrix:
    """(large, small): bilinear interpolation of `small` samples at `large` places, centre to centre
    (half-pixel centres, edges repeated). The identity for equal sizes."""
    if not 1 <= small <= large:
        raise ValueError(f"enlarge: got {small} -> {large}, expected 1 <= small <= large")
    at = (np.arange(large) + 0.5) * small / large - 0.5
    low = np.floor(at).astype(int)
    part = at - low
    matrix = np.zeros((large, small))
    rows = np.arange(large)
    np.add.at(matrix, (rows, np.clip(low, 0, small - 1)), 1.0 - part)
    np.add.at(matrix, (rows, np.clip(low + 1, 0, small - 1)), part)
    return matrix.astype(np.float32)


def kernel_matrix(patch: int, stored: int) -> Matrix:
    """(patch^2, stored^2): stored kernel, pixels row by row, to the kernel of a smaller patch."""
    down = enlarge(patch, stored).T
    return np.kron(down, down).astype(np.float32)


def position_matrix(grid: int, stored: int) -> Matrix:
    """(grid^2, stored^2): positions of the stored grid averaged for a smaller one."""
    down = enlarge(grid, stored).T
    down = down / down.sum(axis=1, keepdims=True)
    return np.kron(down, down).astype(np.float32)


def position_enlarging_matrix(grid: int, stored: int) -> Matrix:
    """(stored^2, grid^2): positions of a grid interpolated for a larger one."""
    up = enlarge(grid, stored)
    return np.kron(up, up).astype(np.float32)
