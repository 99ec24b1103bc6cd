# SPDX-License-Identifier: Apache-2.0
"""Transformers on microcontrollers: the Python interface, and what the commands share.

Importing this package imports nothing else of this toolkit; each function imports what it needs.
"""

from tflm_vit.api import Error, compile, export, fuse, inspect, plan
from tflm_vit.results import Compiled, Exported, File, Fused, Inspection, OperatorUse, Planned
from tflm_vit.version import VERSION

__version__ = VERSION

__all__ = [
    "Compiled",
    "Error",
    "Exported",
    "File",
    "Fused",
    "Inspection",
    "OperatorUse",
    "Planned",
    "__version__",
    "compile",
    "export",
    "fuse",
    "inspect",
    "plan",
]
