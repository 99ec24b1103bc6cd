# SPDX-License-Identifier: Apache-2.0
"""The memory layout that the file's plan prescribes."""

from __future__ import annotations

from converter.compile.graph import Graph
from converter.compile.layout import MemoryLayout


def layout_from_model(model_bytes: bytes, graph: Graph) -> MemoryLayout:
    """Reads the plan that ``converter.fuse`` wrote into the file."""
    raise NotImplementedError
