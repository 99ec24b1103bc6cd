# SPDX-License-Identifier: Apache-2.0
"""One BLAS thread while the gate runs.

Its products are small. NumPy's OpenBLAS hands each to all cores and its threads wait for each other
in a loop: on a machine that does something else besides, that takes several times as long.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

# (get, set) as NumPy's wheels and OpenBLAS itself call them.
_NAMES = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
)


@functools.cache
def _calls() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The functions of the library that NumPy has loaded; None for another one."""
    site = Path(np.__file__).resolve().parents[1]
    for path in sorted((site / "numpy.libs").glob("*openblas*")):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for get, put in _NAMES:
            if hasattr(library, get) and hasattr(library, put):
                return getattr(library, get), getattr(library, put)
    return None


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """As before when it is left; without effect where NumPy has another BLAS."""
    calls = _calls()
    if calls is None:
        yield
        return
    get, put = calls
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)
