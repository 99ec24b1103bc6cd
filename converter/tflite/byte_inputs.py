# SPDX-License-Identifier: Apache-2.0
"""An input of bytes that the network itself turns into numbers: a scale of 1, a zero point of 0.

`keras.Input(dtype="uint8")` with a Rescaling behind it becomes CAST to float, QUANTIZE. The file
gives such a tensor no scale, but its bytes are the numbers; said so, both are one QUANTIZE, which
every runtime has (TFLM has no CAST of uint8).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.tflite.model import Graph, Quantization


def with_byte_scales(graph: Graph) -> Graph:
    """The graph with a scale on every uint8 input that nothing but CAST reads."""
    readers: dict[int, set[str]] = {}
    for op in graph.operators:
        for i in op.inputs:
            readers.setdefault(i, set()).add(op.opcode)
    bytes_of = {
        i
        for i in graph.inputs
        if graph.tensors[i].dtype == np.uint8
        and graph.tensors[i].quantization is None
        and readers.get(i) == {"CAST"}
        and i not in graph.outputs
    }
    if not bytes_of:
        return graph
    unit = Quantization.per_tensor(1.0, 0)
    tensors = tuple(
        dataclasses.replace(t, quantization=unit) if i in bytes_of else t
        for i, t in enumerate(graph.tensors)
    )
    return dataclasses.replace(graph, tensors=tensors)
