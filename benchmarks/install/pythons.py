# SPDX-License-Identifier: Apache-2.0
"""Interpreters of other versions, where the machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13")


def python_of(version: str) -> str | None:
    """A Python of that version that can make environments: on PATH, else pyenv's newest."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places = sorted(root.glob(f"versions/{version}.*/bin/python"), reverse=True)
    on_path = shutil.which(f"python{version}")
    for place in [*([on_path] if on_path else []), *map(str, places)]:
        text = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([place, "-c", text], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return place
    return None
