# SPDX-License-Identifier: Apache-2.0
"""What the runtime computes from constants alone, to the last unit.

NumPy's form of an integer operator is a unit off here and there, where the kernel's fixed-point
multiplier rounds otherwise. A rule that makes constants of such operators takes the kernel's
integers, and would be blamed for the difference.
"""

from __future__ import annotations

from converter.fuse.gate.plain import is_quantized, to_real
from converter.fuse.kernel_values import kernel_results
from converter.fuse.op_semantics import Array
from converter.tflite import GraphView


def exact_constants(view: GraphView) -> dict[int, Array]:
    """Real values, by tensor, of what operators with a definition compute from constants alone."""
    known: dict[int, Array] = {}
    for index, op in enumerate(view.graph.operators):
        inputs = [i for i in op.inputs if i >= 0]
        if not inputs or any(i not in known for i in inputs if not view.is_constant(i)):
            continue
        results = kernel_results(view, index, known)
        if results is not None:
            known |= dict(zip(op.outputs, results, strict=True))
    tensors = view.graph.tensors
    return {
        i: to_real(tensors[i], data) if is_quantized(tensors[i]) else data
        for i, data in known.items()
    }
