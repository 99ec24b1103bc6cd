# SPDX-License-Identifier: Apache-2.0
"""What the code generator works on: a graph and the places of its buffers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from converter import tflite
from converter.compile.errors import CompileError
from converter.plan.layout import Plan, Span
from converter.plan.problem import PlanError
from converter.plan.stored import plan_of
from converter.tflite import Graph


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedGraph:
    """A graph with a plan; tensors are named by their index."""

    graph: Graph
    plan: Plan

    def span(self, tensor: int) -> Span:
        """The bytes of an activation (the plan may round a tensor's size up; this does not)."""
        place = self.plan.tensors[tensor]
        if place is None:
            raise CompileError(
                f"the plan gives no offset for tensor {self.graph.tensors[tensor].name}"
            )
        return Span(place.offset, self.graph.tensors[tensor].nbytes)

    def activations(self, tensors: Sequence[int]) -> tuple[int, ...]:
        """Those of ``tensors`` that are present and no constants."""
        return tuple(i for i in tensors if i >= 0 and not self.graph.tensors[i].is_constant)

    @property
    def image(self) -> int | None:
        """The input that is pushed row by row; None unless the plan is a streamed one."""
        return self.graph.inputs[0] if self.plan.streamed else None

    @property
    def resident_inputs(self) -> tuple[int, ...]:
        """The inputs that lie in the arena."""
        return tuple(i for i in self.graph.inputs if i != self.image)


def read_graph(model_bytes: bytes) -> Graph:
    """Reads a ``.tflite``; CompileError where that fails."""
    try:
        return tflite.parse(model_bytes).graph
    except tflite.TfliteError as error:
        raise CompileError(str(error)) from error


def plan_from_model(model_bytes: bytes) -> Plan:
    """The plan that ``converter.fuse`` wrote into the file.

    Raises:
      CompileError: no plan, or one that was made for another graph.
    """
    try:
        return plan_of(tflite.parse(model_bytes))
    except (PlanError, tflite.TfliteError) as error:
        raise CompileError(str(error)) from error
