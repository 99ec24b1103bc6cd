# SPDX-License-Identifier: Apache-2.0
"""The compiled runtime: a fused, planned ``.tflite`` becomes C that calls the kernels directly.

The generated files have no interpreter and no heap; arena offsets are fixed at compile time.
``docs/operators.md`` defines the operators, `kernel_sources` lists what to build with.
"""

from converter.compile.compiler import CompiledModel, compile_graph, compile_model
from converter.compile.errors import CompileError
from converter.compile.sources import RUNTIME, include_dirs, kernel_headers, kernel_sources

__all__ = [
    "RUNTIME",
    "CompileError",
    "CompiledModel",
    "compile_graph",
    "compile_model",
    "include_dirs",
    "kernel_headers",
    "kernel_sources",
]
