# SPDX-License-Identifier: Apache-2.0
"""The memory layout that the file's plan prescribes."""

from __future__ import annotations

from converter import tflite
from converter.compile.errors import CompileError
from converter.compile.layout import MemoryLayout, Range
from converter.plan.metadata import Span, plan_of
from converter.plan.problem import PlanError


def _range(span: Span | None) -> Range | None:
    return None if span is None else Range(span.offset, span.size_bytes)


def layout_from_model(model_bytes: bytes) -> MemoryLayout:
    """Reads the plan that ``converter.fuse`` wrote into the file.

    Raises:
      CompileError: no plan, or one that was made for another graph.
    """
    try:
        plan = plan_of(tflite.parse(model_bytes))
    except (PlanError, tflite.TfliteError) as error:
        raise CompileError(str(error)) from error
    return MemoryLayout(
        plan.arena_bytes,
        tuple(None if t is None else t.offset for t in plan.tensors),
        tuple(_range(s) for s in plan.scratch),
        _range(plan.strip),
    )
