# SPDX-License-Identifier: Apache-2.0
"""What an image has of a model, from the code that would be generated for it.

Builtin operators read constants that are prepared for the kernels: weights in pairs of channels,
multipliers and shifts, tables. They are others than the file's, and twice as many bytes in a graph
that is not fused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from converter.code_size import ModelCall
from converter.compile.compiler import generated_calls
from converter.compile.errors import CompileError
from converter.compile.interface import image_of
from converter.compile.used import calls_of
from converter.plan.layout import Plan
from converter.tflite import Graph
from tflm_custom_ops.ops import Params


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Of a model in an image.

    Attributes:
      constant_bytes: of the weights' image; None where the compiled runtime refuses the model.
      calls: of its operators, in order.
      names: of inputs and outputs, which an image without a picture has tables of; else ().
      added_bytes: of the weights' image, by operator; () where the compiled runtime refuses it.
    """

    constant_bytes: int | None
    calls: tuple[ModelCall, ...]
    names: tuple[str, ...]
    added_bytes: tuple[int, ...] = ()


def prepared(graph: Graph, ops: Sequence[Params | None], plan: Plan) -> Prepared:
    """What an image has of a planned graph whose fused operators have the parameters ``ops``."""
    calls, ends = calls_of(graph, ops), (*graph.inputs, *graph.outputs)
    names = () if image_of(graph) is not None else tuple(graph.tensors[i].name for i in ends)
    try:
        generated = generated_calls(graph, plan)
    except CompileError:
        return Prepared(None, calls, names)
    counted = (
        dataclasses.replace(call, statements=len(one.statements))
        for call, one in zip(calls, generated.calls, strict=True)
    )
    return Prepared(len(generated.weights), tuple(counted), names, generated.added_bytes)
