# SPDX-License-Identifier: Apache-2.0
"""Errors of the code generator."""


class CompileError(ValueError):
    """The model cannot be compiled; the message says why and what to do."""
