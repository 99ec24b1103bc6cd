# SPDX-License-Identifier: Apache-2.0
"""Compilers, and the one cache of what they made. Imports nothing of this project."""

from toolchain.cache import VARIABLE, cached, digest, folder
from toolchain.compilers import (
    Compiler,
    cross_tool,
    first_error,
    host_c,
    host_cxx,
    processor,
    run_tool,
)
from toolchain.errors import ToolchainError, raised_as
from toolchain.objects import compiled

__all__ = [
    "VARIABLE",
    "Compiler",
    "ToolchainError",
    "cached",
    "compiled",
    "cross_tool",
    "digest",
    "first_error",
    "folder",
    "host_c",
    "host_cxx",
    "processor",
    "raised_as",
    "run_tool",
]
