# SPDX-License-Identifier: Apache-2.0
"""Runs a `.tflite`: one interface over every runtime that the project has."""

from converter.runtimes.interface import Runtime, RuntimeUnavailableError, TensorSpec
from converter.runtimes.registry import (
    RUNTIME_NAMES,
    RUNTIMES,
    RuntimeEntry,
    entry_of,
    open_runtime,
)

__all__ = [
    "RUNTIMES",
    "RUNTIME_NAMES",
    "Runtime",
    "RuntimeEntry",
    "RuntimeUnavailableError",
    "TensorSpec",
    "entry_of",
    "open_runtime",
]
