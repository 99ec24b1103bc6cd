# SPDX-License-Identifier: Apache-2.0
"""What operators compute from values that are known, to the last unit of the runtimes' integers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np

from converter.builtins import BuiltinError, run_builtin
from converter.fuse.op_semantics import POINTWISE, Array, evaluate
from converter.tflite import GraphView


def kernel_results(
    view: GraphView, op: int, known: Mapping[int, Array]
) -> tuple[Array, ...] | None:
    """What the compiled runtime computes; of functions in float, which it has not, their values.

    Args:
      known: values of the operands that are no constants, as the runtime has them.

    Returns:
      arrays of the results' types; None where nothing here computes them.
    """
    operator = view.op(op)
    operands = [i for i in operator.inputs if i >= 0]
    computed = [known[i] for i in operands if not view.is_constant(i)]
    with contextlib.suppress(BuiltinError):
        return run_builtin(view.graph.tensors, operator, *computed)
    ends = [view.tensor(i) for i in (*operands, *operator.outputs)]
    if operator.opcode not in POINTWISE or any(t.dtype != np.float32 for t in ends):
        return None
    values = {i: data for i in operands if (data := view.tensor(i).data) is not None}
    values |= {i: known[i] for i in operands if i not in values}
    with np.errstate(all="ignore"):
        y = evaluate(view, [op], values, operator.outputs[0], single=True).astype(np.float32)
    return (y,) if np.isfinite(y).all() and y.shape == ends[-1].shape else None
