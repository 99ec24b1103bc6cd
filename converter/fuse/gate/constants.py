# SPDX-License-Identifier: Apache-2.0
"""What the runtime computes from constants alone, to the last unit.

NumPy's form of an integer operator is a unit off here and there, where the kernel's fixed-point
multiplier rounds otherwise. A rule that makes constants of such operators takes the kernel's
integers, and would be blamed for the difference.
"""

from __future__ import annotations

import contextlib

from converter.builtins import BuiltinError, run_builtin
from converter.fuse.gate.plain import is_quantized, to_real
from converter.fuse.op_semantics import Array
from converter.tflite import GraphView


def exact_constants(view: GraphView) -> dict[int, Array]:
    """Real values, by tensor, of what operators with a definition compute from constants alone."""
    known: dict[int, Array] = {}
    for op in view.graph.operators:
        inputs = [i for i in op.inputs if i >= 0]
        computed = [i for i in inputs if not view.is_constant(i)]
        if not inputs or any(i not in known for i in computed):
            continue
        with contextlib.suppress(BuiltinError):
            results = run_builtin(view.graph.tensors, op, *(known[i] for i in computed))
            known |= dict(zip(op.outputs, results, strict=True))
    tensors = view.graph.tensors
    return {
        i: to_real(tensors[i], data) if is_quantized(tensors[i]) else data
        for i, data in known.items()
    }
