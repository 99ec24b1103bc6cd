# SPDX-License-Identifier: Apache-2.0
"""The types of the fused graph's activations, as a form of a graph's values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from converter.fuse.arithmetic import Range
from converter.fuse.gate.plain import is_quantized, rounding, to_real
from converter.fuse.op_semantics import Array
from converter.fuse.wide import before_rounding, retyped
from converter.tflite import GraphView, Tensor
from tflm_custom_ops.ops.schema.residual import INT16


class FusedTypes:
    """Rounds to the types of the fused graph; the graph in normal form has int8 for int16.

    Attributes:
      constants: real numbers of those that are int16.
    """

    def __init__(self, view: GraphView, type_of: Callable[[int], Range]) -> None:
        self._type_of = type_of
        tensors = view.graph.tensors
        self.constants: dict[int, Array] = {}
        for i, t in enumerate(tensors):
            if t.data is not None and is_quantized(t) and type_of(i).bits == INT16.bits:
                exact = before_rounding(tensors, t)
                wide = retyped(t, type_of(i), exact)
                assert wide.data is not None
                self.constants[i] = to_real(wide, wide.data)

    def __call__(self, index: int, tensor: Tensor, real: Array) -> Array:
        if is_quantized(tensor) and tensor.dtype == np.int8:
            tensor = retyped(tensor, self._type_of(index))
        return rounding(index, tensor, real)
