# SPDX-License-Identifier: Apache-2.0
"""Inputs of a network in a NumPy file, for calibration and checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tflm_vit.files import reading


class SampleError(ValueError):
    """A file of samples that cannot be used."""


def load_samples(path: str, count: int, seed: int) -> NDArray[np.float32]:
    """At most `count` samples of a NumPy file [n, ...], as a network takes them.

    Raises:
      SampleError: no such array of real numbers.
    """
    with reading(path, "a .npy file", SampleError):
        # Mapped: what is not drawn is not read, what the file does not hold is not allocated.
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(values, np.ndarray) or values.ndim < 2 or values.dtype.kind not in "fiu":
        raise SampleError(f"{path}: expected one array of numbers [samples, ...] (numpy.save)")
    if len(values) > count:
        values = values[np.sort(np.random.default_rng(seed).permutation(len(values))[:count])]
    samples: NDArray[np.float32] = values.astype(np.float32)
    return samples
