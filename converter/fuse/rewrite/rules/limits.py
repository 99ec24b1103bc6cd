# SPDX-License-Identifier: Apache-2.0
"""A limit that no integer of the tensor's type passes does nothing.

Keras' normalize is x * min(rsqrt(sum(x**2)), 1 / epsilon): calibration never sees the second, so
that its constant stands at the end of the first one's range.
"""

from __future__ import annotations

import numpy as np

from converter.fuse.layout import data_input
from converter.fuse.rewrite.building import is_int8, same_type
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    source = data_input(view, op)
    if source is None or len(operator.inputs) != 2 or operator.outputs[0] in view.graph.outputs:
        return None
    limit = next((view.tensor(i) for i in operator.inputs if i != source), None)
    x, y = view.tensor(source), view.tensor(operator.outputs[0])
    if limit is None or limit.data is None or not is_int8(x) or x.shape != y.shape:
        return None
    if not (same_type(x, y) and same_type(x, limit)):
        return None
    info = np.iinfo(x.dtype)
    end = info.max if operator.opcode == "MINIMUM" else info.min
    return Edit((op,), renamed={operator.outputs[0]: source}) if np.all(limit.data == end) else None


RULE = Rule(
    "limits",
    "drops a MINIMUM or MAXIMUM with the last number of the tensor's type",
    frozenset({"MINIMUM", "MAXIMUM"}),
    _apply,
    on_integers=True,
)
