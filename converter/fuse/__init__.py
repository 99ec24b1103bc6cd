# SPDX-License-Identifier: Apache-2.0
"""Rewrites a plain int8 `.tflite` to the fused operators of `docs/operators.md`."""

from converter.fuse.errors import BoundError, NoMatchError
from converter.fuse.pipeline import FuseResult, fuse_model
from converter.fuse.report import FusedOp, FuseReport, Leftover, NotFused

__all__ = [
    "BoundError",
    "FuseReport",
    "FuseResult",
    "FusedOp",
    "Leftover",
    "NoMatchError",
    "NotFused",
    "fuse_model",
]
