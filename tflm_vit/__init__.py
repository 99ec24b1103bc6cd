# SPDX-License-Identifier: Apache-2.0
"""Transformers on microcontrollers: the Python interface, and what the commands share.

Importing this package imports nothing else of this toolkit: names come with their first use, and
each function imports what it needs.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tflm_vit.version import VERSION

if TYPE_CHECKING:
    from tflm_vit.api import Error, compile, export, fuse, inspect, plan
    from tflm_vit.results import Compiled, Exported, File, Fused, Inspection, OperatorUse, Planned

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


def __getattr__(name: str) -> Any:
    """A name of the interface; commands, which import this package too, do without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module("tflm_vit.api"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
