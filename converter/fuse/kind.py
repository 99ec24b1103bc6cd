# SPDX-License-Identifier: Apache-2.0
"""What kind of quantization a file has; everything but int8 is refused in one line."""

from __future__ import annotations

import numpy as np

from converter.fused_ops import FUSED_CODES
from converter.tflite import Graph, TfliteError

# The layer's activation is its first input, its weights the second.
_LAYERS = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL"})
REMEDY = (
    "quantize the float network to int8 weights and int8 activations first: python -m "
    "converter.quantize, or recipe.static_wi8_ai8() of ai-edge-quantizer"
)


def check_kind(graph: Graph) -> None:
    """Takes a plain int8 network, whatever its inputs and outputs are.

    Raises:
      TfliteError: fused already, float, float16, weight-only, dynamic-range (hybrid) or 16x8
        quantized, or with a custom operator; the message has the remedy.
    """
    names = {op.name for op in graph.operators if op.opcode == "CUSTOM"}
    fused = sorted(names & FUSED_CODES)
    if fused:
        raise TfliteError(
            f"got a file that is fused already ({', '.join(fused)}); fuse the plain .tflite"
        )
    if names:
        raise TfliteError(
            f"got custom operators ({', '.join(sorted(names))}), which no runtime here has; build "
            "the network without them and convert it again"
        )
    kinds = _layer_kinds(graph)
    if kinds and "int8" not in kinds:
        kind = next(k for k in _ORDER if k in kinds)
        raise TfliteError(f"got {_ORDER[kind]}, expected a fully int8 one; {REMEDY}")
    if not any(tensor.dtype == np.int8 for tensor in graph.tensors):
        types = ", ".join(sorted({str(graph.tensors[i].dtype) for i in graph.inputs}))
        raise TfliteError(
            f"got a model of {types} without int8 tensors, expected a fully int8 one; {REMEDY}"
        )


# What a file without int8 layers is called, the least quantized kind last.
_ORDER = {
    "16x8": "a network with int16 activations and int8 weights (16x8)",
    "hybrid": "a dynamic-range quantized (hybrid) network: int8 weights, float activations",
    "weight_only": "a weight-only quantized network: int8 weights in DEQUANTIZE, float activations",
    "float16": "a network with float16 weights and float activations",
    "float": "a float network",
    "other": "a network whose layers are of another type than int8",
}


def _layer_kinds(graph: Graph) -> set[str]:
    """The kinds of the layers with weights (or of products of activations)."""
    stored = {
        output: graph.tensors[op.inputs[0]].dtype
        for op in graph.operators
        if op.opcode == "DEQUANTIZE" and graph.tensors[op.inputs[0]].is_constant
        for output in op.outputs
    }
    kinds: set[str] = set()
    for op in graph.operators:
        if op.opcode not in _LAYERS or len(op.inputs) < 2 or min(op.inputs[:2]) < 0:
            continue
        x, w = (graph.tensors[i] for i in op.inputs[:2])
        if x.dtype == np.int8:
            kinds.add("int8")
        elif x.dtype == np.int16:
            kinds.add("16x8")
        elif x.dtype != np.float32:
            kinds.add("other")
        elif w.dtype == np.int8:
            kinds.add("hybrid")
        else:
            kinds.add(_BY_WEIGHTS.get(stored.get(op.inputs[1], w.dtype), "float"))
    return kinds


# Of layers with float activations, by the type in which the file has their weights.
_BY_WEIGHTS = {np.dtype(np.int8): "weight_only", np.dtype(np.float16): "float16"}
