# SPDX-License-Identifier: Apache-2.0
"""Versions of what a recorded result was made with."""

from __future__ import annotations

import platform
from importlib import metadata


def versions_of(*packages: str) -> dict[str, str]:
    """Of Python and of installed packages, by name."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


SEARCH_PACKAGES = ("tensorflow", "keras", "optuna")
