# SPDX-License-Identifier: Apache-2.0
"""Memory planning: which schedule each operator has and where every buffer lives (docs/memory.md).

``plan_model`` schedules and plans a `.tflite` file; ``read_plan`` reads the plan back. Names are
imported on first use, so that reading a plan loads neither OR-tools nor the scheduler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converter.plan.budget import OverBudgetError
    from converter.plan.layout import Plan, Span
    from converter.plan.model import PlannedModel, plan_graph, plan_model
    from converter.plan.problem import PlanError
    from converter.plan.stored import read_plan

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

_MODULE_OF = {
    "OverBudgetError": "budget",
    "Plan": "layout",
    "PlanError": "problem",
    "PlannedModel": "model",
    "Span": "layout",
    "plan_graph": "model",
    "plan_model": "model",
    "read_plan": "stored",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
