# SPDX-License-Identifier: Apache-2.0
"""Which runtime runs which file: one table of builtin operators, and the verdict on a graph."""

from converter.support.table import BUILTINS, TABLE, Builtin, Form
from converter.support.verdict import Verdict, text, verdicts

__all__ = ["BUILTINS", "TABLE", "Builtin", "Form", "Verdict", "text", "verdicts"]
