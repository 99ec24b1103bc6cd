# SPDX-License-Identifier: Apache-2.0
"""What runs single kernels, whichever emulator is behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.kernels.emulator import CallResult
from converter.compile.weights import WeightOrder
from tflm_custom_ops.ops import Params


class KernelMachine(Protocol):
    """One ELF of kernels, with a bump allocator in its memory."""

    @property
    def order(self) -> WeightOrder:
        """What the kernels read weights in."""

    def address_of(self, function: str) -> int:
        """Of a function, with the Thumb bit."""

    def reset_memory(self) -> None:
        """Frees everything."""

    def alloc(self, count_bytes: int, fill: int = 0xCD) -> int:
        """Address of filled bytes, 16-byte aligned."""

    def put(self, values: NDArray[np.generic]) -> int:
        """Copies an array into memory; returns its address."""

    def write(self, address: int, values: NDArray[np.generic]) -> None:
        """Overwrites memory."""

    def get(
        self, address: int, dtype: type[np.generic], shape: Sequence[int]
    ) -> NDArray[np.generic]:
        """A copy of an array in memory."""

    def parameters(self, op: Params) -> int:
        """Address of an operator's parameters, as its kernel takes them."""

    def call(
        self, name: str, *arguments: int, paint: bool = False, profile: bool = False
    ) -> CallResult:
        """Calls a function with 32-bit integer arguments."""

    def watching(self) -> contextlib.AbstractContextManager[NDArray[np.uint32]]:
        """Counts how often each byte is read meanwhile."""
