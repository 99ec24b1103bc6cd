# SPDX-License-Identifier: Apache-2.0
"""Memory planning: which schedule each operator has and where every buffer lives (docs/memory.md).

``plan_model`` schedules and plans a `.tflite` file; ``read_plan`` reads the plan back.
"""

from converter.plan.budget import OverBudgetError
from converter.plan.metadata import Plan, Span
from converter.plan.model import PlannedModel, plan_graph, plan_model, read_plan
from converter.plan.problem import PlanError

__all__ = [
    "OverBudgetError",
    "Plan",
    "PlanError",
    "PlannedModel",
    "Span",
    "plan_graph",
    "plan_model",
    "read_plan",
]
